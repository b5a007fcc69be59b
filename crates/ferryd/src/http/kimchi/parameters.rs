//! The parameters of `migrate`, in both spellings: that of the first proposal, and that of Kimchi 3.0.

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::reasons::Refusal;
use super::schema;
use crate::migration::InheritedRequest;

/// What `migrate` takes. No `Debug`: it may hold a password.
#[derive(Deserialize)]
pub(super) struct Parameters {
    /// The destination.
    #[serde(alias = "remoteHost")]
    pub(super) remote_host: String,
    user: Option<String>,
    #[serde(alias = "passwd")]
    password: Option<String>,
    #[serde(default)]
    secure: bool,
    #[serde(default)]
    enable_rdma: bool,
}

impl Parameters {
    /// Takes them out of the body.
    pub(super) fn take(body: Value) -> Result<Self, Refusal> {
        schema::check("vm_migrate", &body)?;
        // What fits the schema can be read.
        serde_json::from_value(body).map_err(|error| Refusal::schema(error.to_string()))
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
            password: self.password.map(Zeroizing::new),
            secure: self.secure,
            rdma: self.enable_rdma,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_spellings_mean_the_same() {
        for body in [
            json!({"remoteHost": "kvm2", "user": "u", "passwd": "p", "secure": true}),
            json!({"remote_host": "kvm2", "user": "u", "password": "p", "secure": true}),
        ] {
            let request = Parameters::take(body).ok().unwrap().into_request("vm1".to_owned());
            assert_eq!((request.remote_host.as_str(), request.user.as_deref()), ("kvm2", Some("u")));
            assert_eq!(request.password.as_ref().map(|it| it.as_str()), Some("p"));
            assert!(request.secure && !request.rdma);
            assert!(!format!("{request:?}").contains("\"p\""));
        }
        let request = Parameters::take(json!({"remote_host": "kvm2", "enable_rdma": true})).ok().unwrap();
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
            let refusal = Parameters::take(body.clone()).err().unwrap();
            assert_eq!(refusal.status().as_u16(), 400, "{body}");
            assert!(refusal.reason().contains(reason), "{body}: {}", refusal.reason());
        }
    }
}
