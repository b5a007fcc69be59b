//! `login.html`: the page on which a browser's user logs in. It posts to the inherited `login`, and goes to where it came from then.
//!
//! All of it is one answer: nothing is loaded, and its Content-Security-Policy lets run only the script and apply only the style that
//! stand in it, by their hashes.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::{Arguments, PREFIX};
use crate::http::wording;
use crate::messages::{Language, Message, Text};

const PAGE: &str = include_str!("page/login.html");
const STYLE: &str = include_str!("page/login.css");
const SCRIPT: &str = include_str!("page/login.js");

/// The argument that says where to go afterwards.
pub(in crate::http) const NEXT: &str = "next";
/// The longest that is gone to, in bytes; addresses of this interface are shorter.
const NEXT_LIMIT_BYTES: usize = 2048;

/// What the page may do: run its own script, which asks this server.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(SCRIPT),
        hash(STYLE)
    )
});

/// The page. Where it was not told where to go, or was told to leave this server, the list of machines comes next.
pub(super) async fn login(Arguments(arguments): Arguments) -> Response {
    let asked = arguments.into_iter().find(|(name, _)| name == NEXT).map(|(_, next)| next);
    let next = asked.filter(|next| is_own(next)).unwrap_or_else(|| format!("{PREFIX}/vms"));
    let words = move |language| filled(language, &next);
    let mut response = wording::written(StatusCode::OK, "text/html;charset=utf-8", words);
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(POLICY.as_str()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let others: [(HeaderName, &'static str); 2] =
        [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::REFERRER_POLICY, "no-referrer")];
    headers.extend(others.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// Whether an address is a path of this server for a browser, too: it takes a second slash for the beginning of another server's name,
/// a backslash for a slash, and passes over control characters (WHATWG URL, section 4.4).
fn is_own(next: &str) -> bool {
    let mut characters = next.chars();
    next.len() <= NEXT_LIMIT_BYTES
        && characters.next() == Some('/')
        && characters.next() != Some('/')
        && !next.chars().any(|character| character == '\\' || character.is_control())
}

/// The page in a language.
fn filled(language: Language, next: &str) -> String {
    let told = |message: Message| escaped(&Text::from(message).told(language));
    let values = [
        ("language", language.tag().to_owned()),
        ("title", told(Message::FERRYPAGE0001I)),
        ("username", told(Message::FERRYPAGE0002I)),
        ("password", told(Message::FERRYPAGE0003I)),
        ("submit", told(Message::FERRYPAGE0004I)),
        ("silent", told(Message::FERRYPAGE0005I)),
        ("scriptless", told(Message::FERRYPAGE0006I)),
        ("next", escaped(next)),
        ("style", STYLE.to_owned()),
        ("script", SCRIPT.to_owned()),
    ];
    // In one pass: nothing that is put in is looked at again.
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + SCRIPT.len() + 1024);
    for (at, part) in PAGE.split(['{', '}']).enumerate() {
        let value = values.iter().find(|(name, _)| at % 2 == 1 && *name == part);
        page.push_str(value.map_or(part, |(_, value)| value));
    }
    page
}

/// A text as it stands in a page, also in the value of an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_gone_to() {
        for own in ["/", "/plugins/kimchi/vms", "/vms/web%201?a=b&c=//d#e", "/.//x", "/\u{fc}"] {
            assert!(is_own(own), "{own}");
        }
        let long = format!("/{}", "x".repeat(NEXT_LIMIT_BYTES));
        for foreign in [
            "",
            "vms",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "\t//evil.example",
            " //evil.example",
            "http://evil.example/",
            "javascript:alert(1)",
            "/x\\y",
            &long,
        ] {
            assert!(!is_own(foreign), "{foreign:?}");
        }
    }

    #[test]
    fn every_place_of_the_page_is_filled_and_nothing_put_in_is_a_place() {
        for language in Language::ALL {
            let page = filled(language, "/{title}\"><script>");
            assert!(page.contains(STYLE) && page.contains(SCRIPT));
            assert!(page.contains("data-next=\"/{title}&quot;&gt;&lt;script&gt;\""), "{page}");
            let own = page.replace(STYLE, "").replace(SCRIPT, "").replace("/{title}", "");
            assert!(!own.contains(['{', '}']), "{own}");
        }
    }
}
