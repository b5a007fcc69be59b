//! The languages, and which of them a request asks for.

/// A language that every message is there in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// What is told to those who ask for none that is there.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
}

impl Language {
    /// All, each at the place of its number.
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::French];

    /// Its tag (BCP 47).
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
        }
    }

    /// The one that an `Accept-Language` (RFC 9110, section 12.5.4) weighs most, and the first of these; by `de-AT` German is found
    /// (RFC 4647, section 3.4). What cannot be read of it asks for nothing.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let mut chosen = (0, Self::default());
        for (language, weight) in header.split(',').filter_map(range) {
            if weight > chosen.0 {
                chosen = (weight, language);
            }
        }
        chosen.1
    }
}

/// One element of the header: its language, where that is there, and its weight in thousandths.
fn range(element: &str) -> Option<(Language, u16)> {
    let (range, parameter) = element.split_once(';').unwrap_or((element, "q=1"));
    let range = range.trim();
    let primary = range.split('-').next().unwrap_or_default();
    let language = match range {
        "*" => Language::default(),
        _ => Language::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))?,
    };
    let (name, weight) = parameter.split_once('=')?;
    let weight = weight_of(weight.trim()).filter(|_| name.trim().eq_ignore_ascii_case("q"))?;
    Some((language, weight))
}

/// `0.8` in thousandths: `0` or `1` with up to three decimals, and not more than 1.
fn weight_of(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !matches!(whole, "0" | "1") || decimals.len() > 3 || !digits(decimals) {
        return None;
    }
    let weight = format!("{whole}{decimals:0<3}").parse().ok()?;
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_that_is_there_is_chosen() {
        use Language::{English, French, German};
        for (header, language) in [
            ("", English),
            ("de", German),
            ("DE", German),
            ("de-AT", German),
            ("de-Latn-DE-1996", German),
            ("fr;q=0.8, en;q=0.5", French),
            ("fr;q=0.5, en;q=0.8", English),
            ("en;q=0.3,fr ; Q = 0.31", French),
            ("de, fr", German),
            ("fr, de", French),
            ("xx", English),
            ("xx, de;q=0.1", German),
            ("den", English),
            ("*", English),
            ("*, de;q=0.9", English),
            ("*;q=0.5, de", German),
            ("de;q=0", English),
            ("de;q=0, fr;q=0.001", French),
            ("de;q=1.000", German),
            // What is wrong of it is passed over.
            ("de;q=2, fr;q=0.5", French),
            ("de;q=1.5", English),
            ("de;q=0.1234", English),
            ("de;q=+1", English),
            ("de;q=", English),
            ("de;q", English),
            ("de;x=1", English),
            (";;;,,=,q=1, fr", French),
            ("de;q=0.9;x, fr;q=0.1", French),
            ("-,\u{e4}\u{f6}", English),
        ] {
            assert_eq!(Language::accepted(header), language, "{header}");
        }
    }

    #[test]
    fn each_language_is_at_the_place_of_its_number() {
        for (at, language) in Language::ALL.into_iter().enumerate() {
            assert_eq!(language as usize, at);
        }
    }
}
