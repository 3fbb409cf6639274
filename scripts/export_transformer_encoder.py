"""Exports a PyTorch nn.TransformerEncoder or nn.Transformer as a directory that contexture-server --model serves.

One line, with this folder on the module path:

    from export_transformer_encoder import export
    export(encoder, "DIR", embedding=embedding, positions="sinusoidal", scale_embedding=True)

writes DIR/config.json and DIR/model.safetensors with PyTorch's own names (embedding.weight, positions.weight,
layers.N.self_attn.in_proj_weight, ..., norm.weight). A tokenizer.json may be laid beside them; without one the
model takes token ids. Needs torch and safetensors.

With an nn.Transformer, target_embedding is the nn.Embedding of the target, and model_type
"transformer_encoder_decoder": a request with a source and a target is answered with the target's vectors. Names are
then encoder.layers.N..., decoder.layers.N..., target_embedding.weight.

The fields of config.json:
    model_type            "transformer_encoder"
    d_model, nhead, num_layers, dim_feedforward, activation ("relu", "gelu", "gelu_pytorch_tanh", "silu"),
    norm_first, layer_norm_eps, bias
                          as nn.TransformerEncoderLayer has them
    vocab_size            rows of embedding.weight
    max_len               the most tokens of a sequence
    scale_embedding       whether token embeddings are multiplied by sqrt(d_model)
    positional_encoding   "none", "sinusoidal", "learned", "sparse", "rotary" or "alibi"
    sparse_table          with "sparse": true for a table with rows 0 .. max_len (positions.weight), false for
                          one-hot vectors, which need max_len <= d_model
    rope_theta            with "rotary": the base, 10000
    final_norm            whether norm.weight and norm.bias follow the last layer
and of "transformer_encoder_decoder":
    num_encoder_layers, num_decoder_layers in place of num_layers
    target_vocab_size     rows of target_embedding.weight
    shared_embedding      true: embedding.weight embeds the target too, and there is no target_embedding.weight
    decoder_final_norm    as final_norm, of the decoder
    positional_encoding   of both sequences; not "rotary" or "alibi"
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

SCHEMES = ("none", "sinusoidal", "sparse", "rotary", "alibi")
DEFAULT_MAX_LEN = 512


def export(module, directory, *, embedding, positions, target_embedding=None, max_len=None, scale_embedding=False,
           rope_theta=10000.0, sparse_table=False):
    """Writes MODULE, an nn.TransformerEncoder or nn.Transformer, to DIRECTORY, which is made when absent.

    embedding        the nn.Embedding of the tokens; with a decoder, of the source
    target_embedding with an nn.Transformer: that of the target; by default EMBEDDING
    positions        "none", "sinusoidal", "sparse" (one-hot), "rotary", "alibi"; or a table with a row for each
                     position: an nn.Embedding, or a tensor such as the buffer `pe` of PyTorch's tutorial, of
                     shape [n, d_model], [n, 1, d_model] or [1, n, d_model]
    max_len          the most tokens of a sequence; at most, and by default, the rows of a table, or d_model
                     with "sparse"; otherwise 512 by default
    scale_embedding  whether the module multiplies token embeddings by sqrt(d_model)
    rope_theta       with "rotary": the base
    sparse_table     POSITIONS is Embedding(num_positions + 1, d_model) over sparse positions 0 .. num_positions

    The encoder's weights are read in float32. ValueError: it holds what the directory cannot describe.
    """
    has_decoder = isinstance(module, nn.Transformer)
    config = _encoder_decoder_config(module) if has_decoder else _encoder_config(module)
    tensors = {name: tensor for name, tensor in module.state_dict().items()}
    _check_embedding(embedding, "embedding", config)
    tensors["embedding.weight"] = embedding.weight
    config.update(vocab_size=embedding.num_embeddings, scale_embedding=bool(scale_embedding))
    if has_decoder:
        _add_target_embedding(target_embedding or embedding, embedding, config, tensors)
        if positions in ("rotary", "alibi"):
            raise ValueError(f"positions is {positions!r}, which is not computed with a decoder")
    elif target_embedding is not None:
        raise ValueError("target_embedding is given, but the module has no decoder")
    config.update(_position_config(positions, config["d_model"], max_len, sparse_table, tensors))
    if positions == "rotary":
        config["rope_theta"] = float(rope_theta)

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().to("cpu", torch.float32).contiguous().clone()
               for name, tensor in sorted(tensors.items())}
    save_file(tensors, str(directory / "model.safetensors"))
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _encoder_config(module):
    if not isinstance(module, nn.TransformerEncoder):
        raise ValueError(f"the module is a {type(module).__name__}, not an nn.TransformerEncoder")
    described = [_layer_config(layer) for layer in module.layers]
    for index, layer in enumerate(described):
        if layer != described[0]:
            raise ValueError(f"layer {index} is {layer}, layer 0 is {described[0]}; all must be alike")
    config = {"model_type": "transformer_encoder", **described[0], "num_layers": len(described),
              "final_norm": module.norm is not None}
    if module.norm is not None:
        _check_norm(module.norm, "the final norm", config)
    return config


def _check_embedding(embedding, name, config):
    if embedding.embedding_dim != config["d_model"]:
        raise ValueError(f"the {name} has {embedding.embedding_dim} dimensions, the encoder's d_model is "
                         f"{config['d_model']}")
    if embedding.max_norm is not None:
        raise ValueError(f"the {name}'s max_norm is {embedding.max_norm}, only None is computed")


def _add_target_embedding(target, source, config, tensors):
    _check_embedding(target, "target_embedding", config)
    config.update(target_vocab_size=target.num_embeddings, shared_embedding=target is source)
    if target is not source:
        tensors["target_embedding.weight"] = target.weight


def _encoder_decoder_config(module):
    config = _encoder_config(module.encoder)
    for index, layer in enumerate(module.decoder.layers):
        described = _layer_config(layer)
        if any(config[name] != value for name, value in described.items()):
            raise ValueError(f"decoder layer {index} is {described}, the encoder's layers are {config}")
        _check_attention(layer.multihead_attn, "multihead_attn")
        _check_norm(layer.norm3, "norm3", config)
    norm = module.decoder.norm
    if norm is not None:
        _check_norm(norm, "the decoder's final norm", config)
    config.update(model_type="transformer_encoder_decoder", num_encoder_layers=config.pop("num_layers"),
                  num_decoder_layers=len(module.decoder.layers), decoder_final_norm=norm is not None)
    return config


def _check_attention(attention, name):
    if attention.in_proj_weight is None or attention.bias_k is not None or attention.add_zero_attn:
        raise ValueError(f"{name} has separate projections, bias_k or add_zero_attn, which are not computed")


def _layer_config(layer):
    attention = layer.self_attn
    _check_attention(attention, "self_attn")
    config = {
        "d_model": attention.embed_dim,
        "nhead": attention.num_heads,
        "dim_feedforward": layer.linear1.out_features,
        "activation": _activation(layer.activation),
        "norm_first": bool(layer.norm_first),
        "layer_norm_eps": layer.norm1.eps,
        "bias": layer.linear1.bias is not None,
    }
    _check_norm(layer.norm1, "norm1", config)
    _check_norm(layer.norm2, "norm2", config)
    return config


def _check_norm(norm, name, config):
    if not isinstance(norm, nn.LayerNorm) or norm.weight is None:
        raise ValueError(f"{name} is {norm}, only nn.LayerNorm with weights is computed")
    if norm.eps != config["layer_norm_eps"]:
        raise ValueError(f"{name} has eps {norm.eps}, norm1 has {config['layer_norm_eps']}; they must be equal")
    if (norm.bias is not None) != config["bias"]:
        raise ValueError(f"{name} has {'a' if norm.bias is not None else 'no'} bias, unlike the linear layers")


def _activation(activation):
    if activation is functional.relu or isinstance(activation, nn.ReLU):
        return "relu"
    if activation is functional.gelu:
        return "gelu"
    if isinstance(activation, nn.GELU):
        return "gelu" if activation.approximate == "none" else "gelu_pytorch_tanh"
    if activation is functional.silu or isinstance(activation, nn.SiLU):
        return "silu"
    raise ValueError(f"activation {activation} is not computed; relu, gelu and silu are")


def _position_config(positions, d_model, max_len, sparse_table, tensors):
    if isinstance(positions, str):
        if positions not in SCHEMES or sparse_table:
            raise ValueError(f"positions is {positions!r} with sparse_table {sparse_table}; known are "
                             f"{', '.join(SCHEMES)}, or a table")
        default = d_model if positions == "sparse" else DEFAULT_MAX_LEN
        if positions == "sparse" and (max_len or default) > d_model:
            raise ValueError(f"max_len is {max_len}, one-hot positions in {d_model} dimensions allow {d_model}")
        return {"positional_encoding": positions, "max_len": max_len or default}
    table = positions.weight if isinstance(positions, nn.Embedding) else positions
    if table.dim() == 3:
        table = table.squeeze(0) if table.shape[0] == 1 else table.squeeze(1)
    if table.dim() != 2 or table.shape[1] != d_model:
        raise ValueError(f"the table of positions has shape {tuple(table.shape)}, expected (n, {d_model})")
    rows = table.shape[0] - 1 if sparse_table else table.shape[0]
    if max_len is not None and max_len > rows:
        raise ValueError(f"max_len is {max_len}, the table has {rows} positions")
    length = rows if max_len is None else max_len
    tensors["positions.weight"] = table[:length + 1] if sparse_table else table[:length]
    if sparse_table:
        return {"positional_encoding": "sparse", "sparse_table": True, "max_len": length}
    return {"positional_encoding": "learned", "max_len": length}
