//! The parameters of `migrate`, in both spellings: that of the first proposal, and that of Kimchi 3.0.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::reasons::Refusal;
use crate::migration::InheritedRequest;

/// What `migrate` takes. No `Debug`: it may hold a password.
pub(super) struct Parameters {
    /// The destination.
    pub(super) remote_host: String,
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    secure: bool,
    rdma: bool,
}

impl Parameters {
    /// Takes them out of the body.
    pub(super) fn take(mut body: Map<String, Value>) -> Result<Self, Refusal> {
        let password =
            text(&mut body, ["password", "passwd"], "KCHVM0069E: Password field must be a string.", 0)?
                .map(Zeroizing::new);
        let host_wrong = "KCHVM0060E: Destination host of the migration must be a string.";
        let user_wrong = "KCHVM0059E: User name of the remote server must be a string.";
        let rdma_wrong = "KCHVM0091E: 'enable_rdma' must be of type boolean (true or false).";
        let secure_wrong = "WOKAPI0008E: Parameters does not match requirement in schema: \
                            'secure' must be of type boolean (true or false).";
        let remote_host = text(&mut body, ["remote_host", "remoteHost"], host_wrong, 1)?;
        let parameters = Self {
            remote_host: remote_host.unwrap_or_default(),
            user: text(&mut body, ["user", "user"], user_wrong, 1)?,
            password,
            secure: truth(&mut body, "secure", secure_wrong)?,
            rdma: truth(&mut body, "enable_rdma", rdma_wrong)?,
        };
        if let Some(unknown) = body.keys().next() {
            let what = format!("Additional properties are not allowed ('{unknown}' was unexpected)");
            return Err(Refusal::schema(&what));
        }
        if parameters.remote_host.is_empty() {
            return Err(Refusal::schema("'remote_host' is a required property"));
        }
        Ok(parameters)
    }

    /// Whom it logs in as.
    pub(super) fn user_name(&self) -> &str {
        self.user.as_deref().unwrap_or("root")
    }

    /// The same for the migrations.
    pub(super) fn into_request(self, vm: String) -> InheritedRequest {
        InheritedRequest {
            vm,
            remote_host: self.remote_host,
            user: self.user,
            password: self.password,
            secure: self.secure,
            rdma: self.rdma,
        }
    }
}

/// A text under either of two names, but not both.
fn text(
    body: &mut Map<String, Value>,
    names: [&str; 2],
    wrong: &str,
    shortest: usize,
) -> Result<Option<String>, Refusal> {
    let value = match (body.remove(names[0]), body.remove(names[1])) {
        (Some(_), Some(_)) => {
            let [one, other] = names;
            return Err(Refusal::schema(&format!("'{one}' and '{other}' are the same property")));
        }
        (Some(value), None) | (None, Some(value)) => value,
        (None, None) => return Ok(None),
    };
    match value {
        Value::String(text) if text.len() >= shortest => Ok(Some(text)),
        _ => Err(Refusal::bad_request(wrong)),
    }
}

fn truth(body: &mut Map<String, Value>, name: &str, wrong: &str) -> Result<bool, Refusal> {
    match body.remove(name) {
        None => Ok(false),
        Some(Value::Bool(value)) => Ok(value),
        Some(_) => Err(Refusal::bad_request(wrong)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(body: Value) -> Result<Parameters, Refusal> {
        let Value::Object(body) = body else { panic!("not an object") };
        Parameters::take(body)
    }

    #[test]
    fn both_spellings_mean_the_same() {
        for body in [
            json!({"remoteHost": "kvm2", "user": "u", "passwd": "p", "secure": true}),
            json!({"remote_host": "kvm2", "user": "u", "password": "p", "secure": true}),
        ] {
            let request = take(body).ok().unwrap().into_request("vm1".to_owned());
            assert_eq!((request.remote_host.as_str(), request.user.as_deref()), ("kvm2", Some("u")));
            assert_eq!(request.password.as_ref().map(|it| it.as_str()), Some("p"));
            assert!(request.secure && !request.rdma);
            assert!(!format!("{request:?}").contains("\"p\""));
        }
        let request = take(json!({"remote_host": "kvm2", "enable_rdma": true})).ok().unwrap();
        assert_eq!(request.user_name(), "root");
        assert!(request.into_request("vm1".to_owned()).rdma);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_id() {
        for (body, reason) in [
            (
                json!({}),
                "WOKAPI0008E: Parameters does not match requirement in schema: 'remote_host' is a required property",
            ),
            (json!({"user": "root"}), "'remote_host' is a required property"),
            (json!({"remote_host": 5}), "KCHVM0060E: Destination host of the migration must be a string."),
            (json!({"remote_host": null}), "KCHVM0060E: "),
            (json!({"remote_host": ""}), "KCHVM0060E: "),
            (json!({"remote_host": "a", "user": 5}), "KCHVM0059E: "),
            (json!({"remote_host": "a", "user": ""}), "KCHVM0059E: "),
            (json!({"remote_host": "a", "password": ["x"]}), "KCHVM0069E: "),
            (
                json!({"remote_host": "a", "enable_rdma": "yes"}),
                "KCHVM0091E: 'enable_rdma' must be of type boolean (true or false).",
            ),
            (json!({"remote_host": "a", "secure": 1}), "WOKAPI0008E: "),
            (json!({"remote_host": "a", "remoteHost": "a"}), "WOKAPI0008E: "),
            (json!({"remote_host": "a", "x": 1}), "('x' was unexpected)"),
        ] {
            let refusal = take(body.clone()).err().unwrap();
            assert_eq!(refusal.status().as_u16(), 400, "{body}");
            assert!(refusal.reason().contains(reason), "{body}: {}", refusal.reason());
        }
    }
}
