//! What a request says of who makes it: the cookie of a session, or a name and a password.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::denial::Denial;
use super::rights;
use crate::access::{Access, Caller, NotProven, SESSION_IDLE};
use crate::ssh::Secret;

/// The cookie that holds a session's token; the name is the inherited one.
const COOKIE: &str = "wok";
/// A page that Kimchi's own script had opened leaves this cookie: who has it and no session any more was logged out by the clock.
const LAST_PAGE: &str = "lastPage";

/// How the request looks: as a program's, or as a browser's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    /// A script in a page made it; a browser's own window for passwords must not open over it.
    pub(super) by_script: bool,
    /// Whoever asks takes JSON. Without saying what, anything is taken. Our own interface has nothing else.
    pub(super) takes_json: bool,
    /// A page was open, and its session is over.
    pub(super) timed_out: bool,
}

impl Looks {
    pub(super) fn of(parts: &Parts) -> Self {
        let text = |name| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let by_script = text("x-requested-with".parse().unwrap_or(header::UPGRADE)) == Some("XMLHttpRequest");
        let takes_json = rights::is_own(parts.uri.path()) || text(header::ACCEPT).is_none_or(takes_json);
        let timed_out = cookie(&parts.headers, LAST_PAGE).is_some() && token(&parts.headers).is_some();
        Self { by_script, takes_json, timed_out }
    }
}

/// Whether an `Accept` takes JSON: it names it, or anything. Browsers name pages, and take anything as the last resort.
fn takes_json(accept: &str) -> bool {
    let kinds: Vec<&str> =
        accept.split(',').filter_map(|kind| kind.split(';').next()).map(str::trim).collect();
    let named = kinds.iter().any(|kind| matches!(*kind, "application/json" | "application/*"));
    named || kinds.contains(&"*/*") && !kinds.contains(&"text/html")
}

/// Somebody who was recognised.
pub(super) struct Known {
    pub(super) caller: Caller,
    /// Seconds until the session ends unless it is used.
    pub(super) expires_s: Option<f64>,
}

/// Whose session a request shows. No password is looked at for that.
pub(super) fn in_session(access: &Access, headers: &HeaderMap) -> Option<Known> {
    // The inherited pages' script asks now and then by itself; that keeps nobody logged in.
    let idle = headers.get("wok-robot").is_some_and(|robot| robot == "wok-robot");
    let session = access.session(token(headers)?, idle)?;
    let expires_s = Some(session.remaining.as_secs_f64());
    Some(Known { caller: Caller::Person(session.person), expires_s })
}

/// Who makes a request: whose session it shows, or else whose password. A browser's script has no password: the browser would keep
/// it, and nobody could log out.
pub(super) async fn who(access: &Arc<Access>, headers: &HeaderMap, looks: Looks) -> Result<Known, Denial> {
    if let Some(known) = in_session(access, headers) {
        return Ok(known);
    }
    if looks.by_script || !looks.takes_json {
        return Err(Denial::LoginRequired);
    }
    let (name, password) = basic(headers).ok_or(Denial::LoginRequired)?;
    match access.prove(&name, password).await {
        Ok(person) => {
            Ok(Known { caller: Caller::Person(person), expires_s: Some(SESSION_IDLE.as_secs_f64()) })
        }
        Err(NotProven::Wrong) => Err(Denial::WrongPassword(name)),
        Err(NotProven::TooManyTries(wait_s)) => Err(Denial::TooManyTries(wait_s)),
        Err(NotProven::Busy | NotProven::Unknown(_)) => Err(Denial::NotChecked),
    }
}

/// The token of the session that a request shows.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, COOKIE)
}

fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| value.trim_matches('"')).next()
}

/// The cookie of a session that begins, or of one that has ended (without a token).
pub(super) fn set_cookie(token: Option<&str>) -> String {
    // A page of another site must not act by it, no script can read it. It goes over the loopback address alone, without TLS.
    let (value, more) = match token {
        Some(token) => (token, ""),
        None => ("", "; Max-Age=0"),
    };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict{more}")
}

/// The name and the password of `Authorization: Basic` (RFC 7617).
fn basic(headers: &HeaderMap) -> Option<(String, Secret)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded.trim()).ok()?);
    let (name, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((name.to_owned(), Secret::new(password.to_owned())))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_name_and_a_password_are_read_or_nothing_is() {
        let read = |value: &str| {
            let read = basic(&headers(&[("authorization", value)]));
            read.map(|(name, password)| (name, password.reveal().to_owned()))
        };
        let pair = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        assert_eq!(read("Basic am9lOnNlY3JldA=="), pair("joe", "secret"));
        assert_eq!(read("basic  am9lOnNlY3JldA=="), pair("joe", "secret"));
        assert_eq!(read("Basic OmE6Yg=="), pair("", "a:b"));
        for wrong in ["Basic !!!", "Basic", "Basic am9l", "Bearer am9lOnNlY3JldA==", "Basic /////w==", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(basic(&HeaderMap::new()).is_none());
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        for line in ["wok=abc", "a=b; wok=abc", "wok=\"abc\";c=d", "awok=x; wok=abc"] {
            assert_eq!(token(&headers(&[("cookie", line)])), Some("abc"), "{line}");
        }
        for line in ["", "awok=x", "wok", "Wok=abc"] {
            assert_eq!(token(&headers(&[("cookie", line)])), None, "{line}");
        }
        assert_eq!(set_cookie(Some("ab")), "wok=ab; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(set_cookie(None), "wok=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    }

    #[test]
    fn a_browser_is_told_from_a_program() {
        let at = |path: &str, pairs: &[(&'static str, &str)]| {
            let mut request = Request::get(path).body(()).unwrap();
            *request.headers_mut() = headers(pairs);
            let looks = Looks::of(&request.into_parts().0);
            (looks.by_script, looks.takes_json, looks.timed_out)
        };
        let of = |pairs: &[(&'static str, &str)]| at("/vms", pairs);
        let page = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
        assert_eq!(of(&[page]), (false, false, false));
        assert_eq!(at("/api/v1/vms", &[page]), (false, true, false));
        assert_eq!(of(&[("accept", "image/png, */*")]), (false, true, false));
        assert_eq!(of(&[]), (false, true, false));
        assert_eq!(of(&[("accept", "text/html, application/json;q=0.9")]), (false, true, false));
        assert_eq!(of(&[("accept", "text/html")]), (false, false, false));
        assert_eq!(of(&[("accept", "*/*"), ("x-requested-with", "XMLHttpRequest")]), (true, true, false));
        assert_eq!(of(&[("cookie", "wok=a; lastPage=/x")]), (false, true, true));
    }
}
