//! Why a request is not let through, in the words of the interface that it was made to.

use api::problem::{Code, Problem};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::credentials::Looks;
use super::problem::{Failure, shortened};
use super::{kimchi, rights};
use crate::store::StoreError;

/// What a program has to send; the words are the inherited ones.
const CHALLENGE: (HeaderName, &str) = (header::WWW_AUTHENTICATE, "Basic realm=wok");

/// Why a request is not let through.
#[derive(Debug)]
pub(super) enum Denial {
    /// It does not say who makes it.
    LoginRequired,
    /// It names this user with a password that is not theirs.
    WrongPassword(String),
    /// That user's passwords are not looked at for so many seconds.
    TooManyTries(u64),
    /// Whether the password is right could not be found out; the log has why.
    NotChecked,
    /// Whoever makes it may not.
    NotAllowed,
    /// The address does not take the method.
    NoSuchMethod,
    /// The address has a part that is no text.
    NoSuchAddress,
    /// No host that answers has this machine, and these do not answer.
    NoSuchVm(String, Vec<String>),
    /// There is no such task.
    NoSuchTask(String),
    /// What it takes to decide could not be read.
    Store(StoreError),
}

impl Denial {
    /// The answer to the request with this head.
    pub(super) fn answer(self, parts: &Parts, looks: Looks) -> Response {
        let path = parts.uri.path();
        // Of a session that is over its page asks again, by a window of its own and not the browser's.
        let asks = match self {
            Self::LoginRequired => !looks.by_script && !looks.timed_out,
            Self::WrongPassword(_) => !looks.by_script,
            _ => false,
        };
        let mut response = match rights::is_own(path) {
            true => Failure::from(self.problem(&parts.method, &parts.uri)).into_response(),
            false if matches!(self, Self::LoginRequired) && !looks.takes_json => return to_login(parts),
            false => kimchi::denied(self, looks.timed_out),
        };
        if asks {
            response.headers_mut().insert(CHALLENGE.0, HeaderValue::from_static(CHALLENGE.1));
        }
        response
    }

    /// The same as a problem of our own interface.
    pub(super) fn problem(self, method: &Method, uri: &Uri) -> Problem {
        match self {
            Self::LoginRequired => Problem::new(
                Code::LoginRequired,
                "log in (POST /login), send a name and a password (HTTP Basic), or use the Unix socket",
            ),
            Self::WrongPassword(name) => {
                let detail = format!("there is no user {}, or that is not their password", shortened(&name));
                Problem::new(Code::LoginRequired, detail)
            }
            Self::TooManyTries(wait_s) => Problem::new(
                Code::Forbidden,
                format!("too many wrong passwords of this user; wait {wait_s} s"),
            ),
            Self::NotChecked => Problem::new(
                Code::LoginUnavailable,
                "the system did not say whether the password is right; ferryd's log has why",
            ),
            Self::NotAllowed => Problem::new(Code::Forbidden, "administrators alone may do this"),
            Self::NoSuchMethod => {
                let detail =
                    format!("{} does not take {}", shortened(uri.path()), shortened(method.as_str()));
                Problem::new(Code::MethodNotAllowed, detail)
            }
            Self::NoSuchAddress => {
                Problem::new(Code::NoSuchRoute, format!("there is nothing at {}", shortened(uri.path())))
            }
            Self::NoSuchVm(name, silent) if silent.is_empty() => {
                Problem::new(Code::UnknownVm, format!("there is no virtual machine {}", shortened(&name)))
            }
            Self::NoSuchVm(name, silent) => {
                let detail = format!(
                    "{} may be on {}, which cannot be asked now",
                    shortened(&name),
                    silent.join(" or ")
                );
                Problem::new(Code::HostUnreachable, detail)
            }
            Self::NoSuchTask(id) => {
                Problem::new(Code::UnknownTask, format!("there is no task {}", shortened(&id)))
            }
            Self::Store(error) => error.into(),
        }
    }
}

/// The whole address of what is at a path, as Kimchi told it.
pub(super) fn whole_address(headers: &HeaderMap, path: &str) -> String {
    // The guard has seen that it is this machine's; without one the path is as good.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.map_or_else(|| path.to_owned(), |host| format!("http://{host}{path}"))
}

/// Whoever wants pages is sent to the one where one logs in.
fn to_login(parts: &Parts) -> Response {
    let mut place = whole_address(&parts.headers, "/login.html");
    // From there it comes back, if it asked for something to look at.
    let asked = parts.uri.path_and_query().filter(|_| matches!(parts.method, Method::GET | Method::HEAD));
    if let Some(asked) =
        asked.and_then(|asked| serde_urlencoded::to_string([(kimchi::NEXT, asked.as_str())]).ok())
    {
        place = format!("{place}?{asked}");
    }
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let Ok(place) = HeaderValue::try_from(place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    kimchi::dressed(response)
}
