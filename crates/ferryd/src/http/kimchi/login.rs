//! `login` and `logout`, and what is answered to those who may not.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::reasons::Refusal;
use super::{answer, required_body, schema};
use crate::access::{NotProven, Person};
use crate::http::denial::Denial;
use crate::http::{AppState, credentials};
use crate::ssh::Secret;

/// Who has logged in, the keys in their order.
#[derive(Serialize)]
struct LoggedIn<'a> {
    username: &'a str,
    groups: &'a [String],
    role: &'static str,
}

impl<'a> From<&'a Person> for LoggedIn<'a> {
    fn from(person: &'a Person) -> Self {
        Self { username: &person.name, groups: &person.groups, role: person.role.as_str() }
    }
}

/// Begins a session.
pub(super) async fn login(State(app): State<AppState>, request: Request) -> Result<Response, Refusal> {
    let (name, password) = taken(request).await?;
    let proven = app.access.prove(&name, password).await;
    let person = proven.map_err(|why| match why {
        NotProven::Wrong => Refusal::wrong_login(),
        NotProven::TooManyTries(wait_s) => Refusal::too_many_tries(wait_s),
        NotProven::Busy | NotProven::Unknown(_) => Refusal::login_not_checked(),
    })?;
    let token = app.access.open_session(person.clone()).map_err(|_| Refusal::login_not_checked())?;
    tracing::info!(user = person.name, role = person.role.as_str(), "logged in");
    with_cookie(answer(&LoggedIn::from(&*person)).into_response(), Some(&token))
}

/// The name and the password of the body.
async fn taken(request: Request) -> Result<(String, Secret), Refusal> {
    let mut body = required_body(request).await?;
    schema::check("login", &body).map_err(|_| Refusal::incomplete_login())?;
    match (body["username"].take(), body["password"].take()) {
        (Value::String(name), Value::String(password)) => Ok((name, Secret::new(password))),
        _ => Err(Refusal::incomplete_login()),
    }
}

/// Ends the session that the request shows. Without one there is nothing to end.
pub(super) async fn logout(State(app): State<AppState>, headers: HeaderMap) -> Result<Response, Refusal> {
    if let Some(token) = credentials::token(&headers) {
        app.access.close_session(token);
    }
    with_cookie(answer(&json!({})).into_response(), None)
}

fn with_cookie(mut response: Response, token: Option<&str>) -> Result<Response, Refusal> {
    let cookie =
        HeaderValue::try_from(credentials::set_cookie(token)).map_err(|_| Refusal::login_not_checked())?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Why a request is not let through, as Kimchi told it.
pub(in crate::http) fn denied(why: Denial, timed_out: bool) -> Response {
    let refusal = match why {
        // The one word by which the inherited pages tell it from a login that never was.
        Denial::LoginRequired if timed_out => Refusal::new(StatusCode::UNAUTHORIZED, "sessionTimeout"),
        Denial::LoginRequired => Refusal::login_required(),
        Denial::WrongPassword(name) => Refusal::wrong_password(&name),
        Denial::TooManyTries(wait_s) => Refusal::too_many_tries(wait_s),
        Denial::NotChecked => Refusal::login_not_checked(),
        Denial::NotAllowed => Refusal::not_allowed(),
        Denial::NoSuchMethod => Refusal::method_not_allowed(),
        Denial::NoSuchAddress => Refusal::no_such_address(),
        Denial::NoSuchVm(name, silent) => Refusal::unknown_vm(&name, &silent),
        Denial::NoSuchTask(id) => Refusal::no_such_task(&id),
        Denial::Store(error) => error.into(),
    };
    super::dressed(refusal.into_response())
}
