//! Loading and encoding, in terms of the crate.

use tokenizers::{
    AddedToken, Encoding, Model, ModelWrapper, OffsetType, PostProcessor, PostProcessorWrapper,
    PreTokenizer, Token, TruncationDirection,
};

use crate::failure::{Code, Failure};
use crate::truncation::{longest_first, truncated};

/// A loaded tokenizer.json with what never changes about it.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pub vocabulary_size: u32,
    pub single_special_tokens: usize,
    pub pair_special_tokens: usize,
    pub has_pair_template: bool,
}

/// The tokens of the first text of pairs, without offsets.
pub struct Prepared(Encoding);

pub struct Request<'a> {
    pub first: &'a str,
    /// In place of `first`; without offsets.
    pub prepared: Option<&'a Prepared>,
    pub second: Option<&'a str>,
    pub truncation: Option<(usize, TruncationDirection)>,
    pub add_special_tokens: bool,
    pub with_offsets: bool,
}

pub struct Output {
    pub encoding: Encoding,
    /// Bytes of the text that the token comes from; empty unless asked for.
    pub offsets: Vec<(usize, usize)>,
    pub original_length: usize,
}

fn invalid_file(message: impl std::fmt::Display) -> Failure {
    Failure::new(Code::InvalidFile, message)
}

fn failed(error: tokenizers::Error) -> Failure {
    Failure::new(Code::Failed, error)
}

impl Tokenizer {
    pub fn load(json: &[u8]) -> Result<Self, Failure> {
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(invalid_file)?;
        inner.with_truncation(None).map_err(invalid_file)?.with_padding(None);
        let mut tokenizer = Tokenizer {
            vocabulary_size: vocabulary_size(&inner)?,
            single_special_tokens: added_tokens(&inner, false),
            pair_special_tokens: added_tokens(&inner, true),
            has_pair_template: false,
            inner,
        };
        tokenizer.check_unknown_token()?;
        tokenizer.check_templates()?;
        Ok(tokenizer)
    }

    /// Makes `marker`, or its first word, a special token where the vocabulary has it and text would
    /// not become it: sentence-transformers' way to load ColBERT models, whose markers were inserted
    /// as ids.
    pub fn add_marker(&mut self, marker: &str) -> Result<(), Failure> {
        let Some(first_word) = marker.split_whitespace().next() else {
            return Ok(());
        };
        for spelling in [marker, first_word] {
            if self.inner.token_to_id(spelling).is_none() {
                continue;
            }
            let tokens = self.sequence(spelling, 0, OffsetType::None)?;
            if tokens.get_tokens() != [spelling] {
                let token = AddedToken::from(spelling, true).normalized(false);
                self.inner.add_special_tokens([token]).map_err(failed)?;
            }
            break;
        }
        Ok(())
    }

    /// The id of a token as the vocabulary spells it, added tokens included.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Without this token every text with an unknown word would fail.
    fn check_unknown_token(&self) -> Result<(), Failure> {
        let unknown = match self.inner.get_model() {
            ModelWrapper::WordPiece(model) => &model.unk_token,
            ModelWrapper::WordLevel(model) => &model.unk_token,
            _ => return Ok(()),
        };
        match self.inner.get_model().token_to_id(unknown) {
            Some(_) => Ok(()),
            None => Err(invalid_file(format!("unk_token '{unknown}' is not in the vocabulary"))),
        }
    }

    /// Runs the post-processor once on stand-ins for the texts: the crate checks neither that a
    /// template holds each text once, nor that its special tokens exist.
    fn check_templates(&mut self) -> Result<(), Failure> {
        let (first, second) = (u32::MAX, u32::MAX - 1);
        let single = self.probe(first, None)?;
        let firsts = single.iter().filter(|id| **id == first).count();
        if firsts != 1 || single.len() != 1 + self.single_special_tokens {
            return Err(invalid_file(format!(
                "the post_processor makes {} tokens of a text of one, and holds it {firsts} times",
                single.len()
            )));
        }
        self.check_special_ids(&single, &[first])?;
        if !self.inner.get_post_processor().is_some_and(defines_pairs) {
            return Ok(());
        }
        let pair = self.probe(first, Some(second))?;
        self.check_special_ids(&pair, &[first, second])?;
        let once = |wanted| pair.iter().filter(|id| **id == wanted).count() == 1;
        self.has_pair_template =
            once(first) && once(second) && pair.len() == 2 + self.pair_special_tokens;
        Ok(())
    }

    /// Whether tokens within a word have a prefix of their own, such as "##".
    pub fn marks_subwords(&self) -> bool {
        match self.inner.get_model() {
            ModelWrapper::WordPiece(model) => !model.continuing_subword_prefix.is_empty(),
            ModelWrapper::BPE(model) => {
                model.continuing_subword_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty())
            }
            _ => false,
        }
    }

    /// The id of what the vocabulary does not know.
    pub fn unknown_id(&self) -> Option<u32> {
        let model = self.inner.get_model();
        match model {
            ModelWrapper::WordPiece(inner) => model.token_to_id(&inner.unk_token),
            ModelWrapper::WordLevel(inner) => model.token_to_id(&inner.unk_token),
            ModelWrapper::BPE(inner) => {
                inner.unk_token.as_ref().and_then(|unknown| model.token_to_id(unknown))
            }
            // The crate keeps the id of a Unigram to itself; everybody calls the token so.
            ModelWrapper::Unigram(_) => model.token_to_id("<unk>"),
        }
    }

    pub fn decode(&self, ids: &[u32]) -> Result<String, Failure> {
        self.inner.decode(ids, false).map_err(failed)
    }

    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    fn probe(&self, first: u32, second: Option<u32>) -> Result<Vec<u32>, Failure> {
        let text =
            |id, type_id| Encoding::from_tokens(vec![Token::new(id, "".into(), (0, 0))], type_id);
        let second = second.map(|id| text(id, 1));
        let encoding =
            self.inner.post_process(text(first, 0), second, true).map_err(invalid_file)?;
        let (ids, spellings) = (encoding.get_ids(), encoding.get_tokens().len());
        if ids.len() != spellings {
            return Err(invalid_file(format!(
                "the post_processor adds {} ids, but {spellings} tokens",
                ids.len()
            )));
        }
        Ok(ids.to_vec())
    }

    fn check_special_ids(&self, ids: &[u32], texts: &[u32]) -> Result<(), Failure> {
        let outside = |id: &&u32| **id >= self.vocabulary_size && !texts.contains(*id);
        match ids.iter().find(outside) {
            None => Ok(()),
            Some(id) => Err(invalid_file(format!(
                "the post_processor adds token id {id}, but the vocabulary has ids below {}",
                self.vocabulary_size
            ))),
        }
    }

    pub fn prepare(&self, first: &str) -> Result<Prepared, Failure> {
        Ok(Prepared(self.sequence(first, 0, OffsetType::None)?))
    }

    /// Equal to the Python library with truncation `longest_first` and stride 0. Done here because
    /// the crate keeps its truncation in the shared tokenizer, builds all overflowing parts (for a
    /// pair their product), and stops early, so that it may take the other text of a pair for the
    /// longer one: what decides in Python is the full lengths.
    pub fn encode(&self, request: &Request) -> Result<Output, Failure> {
        let Request { first, second, add_special_tokens, .. } = *request;
        // Not bytes: post-processors trim spaces off the offsets by characters.
        let offset_type = if request.with_offsets { OffsetType::Char } else { OffsetType::None };
        let mut encoding = match request.prepared {
            Some(prepared) => prepared.0.clone(),
            None => self.sequence(first, 0, offset_type)?,
        };
        let mut pair = second.map(|text| self.sequence(text, 1, offset_type)).transpose()?;
        let added = match (add_special_tokens, second) {
            (false, _) => 0,
            (true, None) => self.single_special_tokens,
            (true, Some(_)) => self.pair_special_tokens,
        };
        let original_length = encoding.len() + pair.as_ref().map_or(0, Encoding::len) + added;
        if let Some((max_length, direction)) = request.truncation.filter(|t| original_length > t.0)
        {
            let Some(room) = max_length.checked_sub(added) else {
                return Err(Failure::new(Code::NoRoom, "no room for a text").at(0, added));
            };
            let lengths = longest_first(encoding.len(), pair.as_ref().map(Encoding::len), room);
            encoding = truncated(encoding, lengths.0, direction);
            pair = pair.map(|pair| truncated(pair, lengths.1, direction));
        }
        let encoding =
            self.inner.post_process(encoding, pair, add_special_tokens).map_err(failed)?;
        let texts = [first, second.unwrap_or_default()];
        let offsets =
            if request.with_offsets { byte_offsets(&encoding, texts) } else { Vec::new() };
        Ok(Output { encoding, offsets, original_length })
    }

    /// The tokens of one text, before the post-processor.
    fn sequence(
        &self,
        text: &str,
        type_id: u32,
        offset_type: OffsetType,
    ) -> Result<Encoding, Failure> {
        let added_vocabulary = self.inner.get_added_vocabulary();
        let mut words = added_vocabulary.extract_and_normalize(self.inner.get_normalizer(), text);
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut words).map_err(failed)?;
        }
        self.inner.get_model().tokenize_in_pretokenized(&mut words, None).map_err(failed)?;
        words.into_encoding(None, type_id, offset_type).map_err(failed)
    }
}

fn vocabulary_size(tokenizer: &tokenizers::Tokenizer) -> Result<u32, Failure> {
    let largest = tokenizer.get_vocab(true).into_values().max();
    let largest = largest.ok_or_else(|| invalid_file("the vocabulary is empty"))?;
    // The two largest ids stand for the texts when the templates are checked.
    if largest >= u32::MAX - 1 {
        return Err(invalid_file(format!(
            "token id {largest} is over the limit of {}",
            u32::MAX - 2
        )));
    }
    Ok(largest + 1)
}

fn added_tokens(tokenizer: &tokenizers::Tokenizer, is_pair: bool) -> usize {
    tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(is_pair))
}

fn defines_pairs(processor: &PostProcessorWrapper) -> bool {
    match processor {
        PostProcessorWrapper::Roberta(_)
        | PostProcessorWrapper::Bert(_)
        | PostProcessorWrapper::Template(_) => true,
        PostProcessorWrapper::ByteLevel(_) => false,
        PostProcessorWrapper::Sequence(all) => all.as_ref().iter().any(defines_pairs),
    }
}

/// The offsets of an encoding in characters, as bytes.
fn byte_offsets(encoding: &Encoding, texts: [&str; 2]) -> Vec<(usize, usize)> {
    let starts = texts.map(|text| {
        text.char_indices().map(|(start, _)| start).chain([text.len()]).collect::<Vec<usize>>()
    });
    let bytes = |(token, (begin, end)): (usize, &(usize, usize))| {
        let starts = &starts[encoding.token_to_sequence(token).unwrap_or(0).min(1)];
        let byte = |character: usize| starts[character.min(starts.len() - 1)];
        (byte(*begin), byte(*end))
    };
    encoding.get_offsets().iter().enumerate().map(bytes).collect()
}
