//! What truncation keeps.

use std::cmp::max;

use tokenizers::{Encoding, TruncationDirection};

/// How many tokens each text keeps when both share `room`: the arithmetic of the crate's
/// `truncate_encodings`. Only called when the texts do not fit.
pub fn longest_first(first: usize, second: Option<usize>, room: usize) -> (usize, usize) {
    let Some(second) = second else { return (room, 0) };
    let (shorter, longer) = (first.min(second), first.max(second));
    if shorter + longer <= room {
        return (first, second);
    }
    let mut kept_short = shorter;
    let mut kept_long = if shorter > room { shorter } else { max(shorter, room - shorter) };
    if kept_short + kept_long > room {
        kept_short = room / 2;
        kept_long = kept_short + room % 2;
    }
    if first > second {
        (kept_long, kept_short)
    } else {
        (kept_short, kept_long)
    }
}

/// The first or last `length` tokens.
pub fn truncated(encoding: Encoding, length: usize, direction: TruncationDirection) -> Encoding {
    let all = encoding.len();
    if length >= all {
        return encoding;
    }
    let kept = match direction {
        TruncationDirection::Right => 0..length,
        TruncationDirection::Left => all - length..all,
    };
    Encoding::new(
        encoding.get_ids()[kept.clone()].to_vec(),
        encoding.get_type_ids()[kept.clone()].to_vec(),
        encoding.get_tokens()[kept.clone()].to_vec(),
        encoding.get_word_ids()[kept.clone()].to_vec(),
        encoding.get_offsets()[kept.clone()].to_vec(),
        encoding.get_special_tokens_mask()[kept.clone()].to_vec(),
        encoding.get_attention_mask()[kept].to_vec(),
        Vec::new(),
        Default::default(),
    )
}
