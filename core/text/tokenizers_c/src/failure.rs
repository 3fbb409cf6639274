//! What can go wrong, and the wall that keeps a panic of the crate inside.

use std::cell::RefCell;
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::Once;

/// The codes of tokenizers_c.h.
#[derive(Clone, Copy)]
#[repr(i32)]
pub enum Code {
    InvalidFile = 1,
    InvalidUtf8 = 2,
    NoRoom = 3,
    Failed = 4,
    Panicked = 5,
}

pub struct Failure {
    pub code: Code,
    pub input: u32,
    pub position: usize,
    pub message: String,
}

impl Failure {
    pub fn new(code: Code, message: impl std::fmt::Display) -> Self {
        const LONGEST: usize = 400;
        let message = message.to_string().chars().take(LONGEST).collect();
        Failure { code, input: 0, position: 0, message }
    }

    pub fn at(self, input: u32, position: usize) -> Self {
        Failure { input, position, ..self }
    }
}

thread_local! {
    static PANIC_PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `body`; a panic becomes a failure that names the place in the source. The panic's own
/// message is neither returned nor printed, since it may quote the user's text.
pub fn guard<T>(body: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| set_hook(Box::new(|info| remember(info.location()))));
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // A payload of another type may panic when it is dropped, so it is left alone.
        if !payload.is::<String>() && !payload.is::<&'static str>() {
            std::mem::forget(payload);
        }
        let place = PANIC_PLACE.with(|place| place.take());
        Err(Failure::new(Code::Panicked, format!("the tokenizers library panicked at {place}")))
    })
}

/// Keeps `<crate>/src/<file>.rs:<line>`; the directories above are those of the build machine.
fn remember(location: Option<&std::panic::Location>) {
    let Some(location) = location else { return };
    let parts: Vec<&str> = location.file().split('/').collect();
    let crate_part = parts.iter().rposition(|part| *part == "src").unwrap_or(1).saturating_sub(1);
    let place = format!("{}:{}", parts[crate_part..].join("/"), location.line());
    PANIC_PLACE.with(|kept| *kept.borrow_mut() = place);
}
