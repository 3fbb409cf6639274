//! The C interface; its contract stands in tokenizers_c.h.

mod failure;
mod tokenizer;
mod truncation;

use std::ffi::{c_char, CString};
use std::ptr;

use tokenizers::TruncationDirection;

use failure::{guard, Code, Failure};
use tokenizer::{Output, Prepared, Request, Tokenizer};

#[repr(C)]
pub struct CError {
    code: i32,
    input: u32,
    position: usize,
    message: *mut c_char,
}

#[repr(C)]
pub struct CInfo {
    vocabulary_size: u32,
    single_special_tokens: u32,
    pair_special_tokens: u32,
    has_pair_template: bool,
    marks_subwords: bool,
    unknown_id: i64,
}

#[repr(C)]
pub struct CText {
    data: *const c_char,
    size: usize,
}

#[repr(C)]
pub struct CEncodeRequest {
    first: CText,
    second: CText,
    max_length: usize,
    truncation: i32,
    add_special_tokens: bool,
    with_offsets: bool,
    prepared: *const Prepared,
}

#[repr(C)]
pub struct CEncodingView {
    ids: *const u32,
    type_ids: *const u32,
    length: usize,
    original_length: usize,
}

#[repr(C)]
pub struct CToken {
    text: CText,
    begin: usize,
    end: usize,
    special: bool,
    input: u32,
}

/// Runs `body` behind the wall against panics; gives its result to the caller to own, or fills
/// `error`.
unsafe fn hand_over<T>(error: *mut CError, body: impl FnOnce() -> Result<T, Failure>) -> *mut T {
    match guard(body) {
        Ok(value) => Box::into_raw(Box::new(value)),
        Err(failure) => {
            let text = failure.message.replace('\0', " ");
            *error = CError {
                code: failure.code as i32,
                input: failure.input,
                position: failure.position,
                message: CString::new(text).unwrap_or_default().into_raw(),
            };
            ptr::null_mut()
        }
    }
}

unsafe fn release<T>(value: *mut T) {
    if !value.is_null() {
        let _ = guard(|| {
            drop(Box::from_raw(value));
            Ok(())
        });
    }
}

impl CText {
    fn of(text: &str) -> Self {
        CText { data: text.as_ptr().cast(), size: text.len() }
    }

    unsafe fn bytes<'a>(&self) -> &'a [u8] {
        std::slice::from_raw_parts(self.data.cast(), self.size)
    }

    unsafe fn text<'a>(&self, input: u32) -> Result<&'a str, Failure> {
        std::str::from_utf8(self.bytes()).map_err(|error| {
            Failure::new(Code::InvalidUtf8, "not UTF-8").at(input, error.valid_up_to())
        })
    }
}

/// # Safety
/// `json` points to `size` bytes, `error` to a writable error.
#[no_mangle]
pub unsafe extern "C" fn contexture_tokenizer_load(
    json: *const c_char,
    size: usize,
    error: *mut CError,
) -> *mut Tokenizer {
    hand_over(error, || Tokenizer::load(CText { data: json, size }.bytes()))
}

/// # Safety
/// `tokenizer` is null or comes from `contexture_tokenizer_load`, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn contexture_tokenizer_free(tokenizer: *mut Tokenizer) {
    release(tokenizer)
}

#[no_mangle]
pub extern "C" fn contexture_tokenizer_get_info(tokenizer: &Tokenizer) -> CInfo {
    CInfo {
        vocabulary_size: tokenizer.vocabulary_size,
        single_special_tokens: tokenizer.single_special_tokens as u32,
        pair_special_tokens: tokenizer.pair_special_tokens as u32,
        has_pair_template: tokenizer.has_pair_template,
        marks_subwords: tokenizer.marks_subwords(),
        unknown_id: tokenizer.unknown_id().map_or(-1, i64::from),
    }
}

/// # Safety
/// `marker` points to as many bytes as it says, `error` to a writable error; nobody else uses
/// `tokenizer` meanwhile.
#[no_mangle]
pub unsafe extern "C" fn contexture_tokenizer_add_marker(
    tokenizer: &mut Tokenizer,
    marker: CText,
    error: *mut CError,
) -> bool {
    let added = hand_over(error, || tokenizer.add_marker(marker.text(0)?));
    let done = !added.is_null();
    release(added);
    done
}

/// # Safety
/// `token` points to as many bytes as it says.
#[no_mangle]
pub unsafe extern "C" fn contexture_tokenizer_id(tokenizer: &Tokenizer, token: CText) -> i64 {
    match guard(|| Ok(tokenizer.id(token.text(0)?))) {
        Ok(Some(id)) => i64::from(id),
        _ => -1,
    }
}

#[no_mangle]
pub extern "C" fn contexture_tokenizer_token(tokenizer: &Tokenizer, id: u32) -> *mut c_char {
    match guard(|| Ok(tokenizer.token(id))) {
        Ok(Some(token)) => CString::new(token.replace('\0', " ")).unwrap_or_default().into_raw(),
        _ => ptr::null_mut(),
    }
}

/// # Safety
/// `ids` points to `length` ids.
#[no_mangle]
pub unsafe extern "C" fn contexture_tokenizer_decode(
    tokenizer: &Tokenizer,
    ids: *const u32,
    length: usize,
) -> *mut c_char {
    match guard(|| tokenizer.decode(std::slice::from_raw_parts(ids, length))) {
        Ok(text) => CString::new(text.replace('\0', " ")).unwrap_or_default().into_raw(),
        Err(_) => ptr::null_mut(),
    }
}

/// # Safety
/// `text` points to as many bytes as it says, `error` to a writable error.
#[no_mangle]
pub unsafe extern "C" fn contexture_tokenizer_prepare(
    tokenizer: &Tokenizer,
    text: CText,
    error: *mut CError,
) -> *mut Prepared {
    hand_over(error, || tokenizer.prepare(text.text(0)?))
}

/// # Safety
/// `prepared` is null or comes from `contexture_tokenizer_prepare`, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn contexture_prepared_free(prepared: *mut Prepared) {
    release(prepared)
}

/// # Safety
/// The texts of `request` point to as many bytes as they say, its prepared text is null or comes
/// from `contexture_tokenizer_prepare` of the same tokenizer, `error` is a writable error.
#[no_mangle]
pub unsafe extern "C" fn contexture_tokenizer_encode(
    tokenizer: &Tokenizer,
    request: &CEncodeRequest,
    error: *mut CError,
) -> *mut Output {
    hand_over(error, || {
        let second =
            if request.second.data.is_null() { None } else { Some(request.second.text(1)?) };
        tokenizer.encode(&Request {
            first: if request.prepared.is_null() { request.first.text(0)? } else { "" },
            prepared: request.prepared.as_ref(),
            second,
            truncation: match request.truncation {
                1 => Some((request.max_length, TruncationDirection::Right)),
                2 => Some((request.max_length, TruncationDirection::Left)),
                _ => None,
            },
            add_special_tokens: request.add_special_tokens,
            with_offsets: request.with_offsets,
        })
    })
}

/// # Safety
/// `encoding` is null or comes from `contexture_tokenizer_encode`, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn contexture_encoding_free(encoding: *mut Output) {
    release(encoding)
}

#[no_mangle]
pub extern "C" fn contexture_encoding_get(output: &Output) -> CEncodingView {
    CEncodingView {
        ids: output.encoding.get_ids().as_ptr(),
        type_ids: output.encoding.get_type_ids().as_ptr(),
        length: output.encoding.len(),
        original_length: output.original_length,
    }
}

/// An index out of range gives an empty token.
#[no_mangle]
pub extern "C" fn contexture_encoding_token(output: &Output, index: usize) -> CToken {
    let encoding = &output.encoding;
    let (begin, end) = output.offsets.get(index).copied().unwrap_or_default();
    CToken {
        text: CText::of(encoding.get_tokens().get(index).map_or("", String::as_str)),
        begin,
        end,
        input: encoding.token_to_sequence(index).unwrap_or(0) as u32,
        special: encoding.get_special_tokens_mask().get(index).is_some_and(|mask| *mask != 0),
    }
}

/// # Safety
/// `message` is null or the message of an error, and is not used again.
#[no_mangle]
pub unsafe extern "C" fn contexture_message_free(message: *mut c_char) {
    if !message.is_null() {
        drop(CString::from_raw(message));
    }
}
