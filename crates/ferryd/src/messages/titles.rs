//! The problems of our own interface, by the messages of their titles.

use api::problem::Code;

use super::Message;

/// The title of a code.
pub(crate) fn title(code: Code) -> Message {
    match code {
        Code::BadRequest => Message::FERRYPROBLEM0001E,
        Code::BadValue => Message::FERRYPROBLEM0002E,
        Code::UnsupportedMediaType => Message::FERRYPROBLEM0003E,
        Code::TooLarge => Message::FERRYPROBLEM0004E,
        Code::NoSuchRoute => Message::FERRYPROBLEM0005E,
        Code::MethodNotAllowed => Message::FERRYPROBLEM0006E,
        Code::LoginRequired => Message::FERRYPROBLEM0007E,
        Code::LoginUnavailable => Message::FERRYPROBLEM0008E,
        Code::Forbidden => Message::FERRYPROBLEM0009E,
        Code::UnknownHost => Message::FERRYPROBLEM0010E,
        Code::UnknownVm => Message::FERRYPROBLEM0011E,
        Code::AmbiguousVm => Message::FERRYPROBLEM0012E,
        Code::UnknownTask => Message::FERRYPROBLEM0013E,
        Code::HostExists => Message::FERRYPROBLEM0014E,
        Code::HostBusy => Message::FERRYPROBLEM0015E,
        Code::AlreadyMigrating => Message::FERRYPROBLEM0016E,
        Code::VmBusy => Message::FERRYPROBLEM0017E,
        Code::RefusedByChecks => Message::FERRYPROBLEM0018E,
        Code::HostKeyUnknown => Message::FERRYPROBLEM0019E,
        Code::HostKeyChanged => Message::FERRYPROBLEM0020E,
        Code::AccessDenied => Message::FERRYPROBLEM0021E,
        Code::HostUnreachable => Message::FERRYPROBLEM0022E,
        Code::TooLate => Message::FERRYPROBLEM0023E,
        Code::Libvirt => Message::FERRYPROBLEM0024E,
        Code::Internal => Message::FERRYPROBLEM0025E,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{Language, Text};

    #[test]
    fn every_code_has_its_title_and_in_english_the_one_that_is_written_with_it() {
        for language in Language::ALL {
            let titles = Code::ALL.iter().map(|&code| Text::from(title(code)).told(language).into_owned());
            let titles: std::collections::BTreeSet<String> = titles.collect();
            assert_eq!(titles.len(), Code::ALL.len(), "{language:?}");
        }
        for &code in Code::ALL {
            assert_eq!(Text::from(title(code)).to_string(), code.title());
        }
    }
}
