//! What is told when a machine is not seen or spoken to.

use axum::http::StatusCode;

use super::Refusal;
use crate::console::Refused;
use crate::console::tickets::Purpose;
use crate::http::problem::shortened;
use crate::libvirt::error::{HostError, OPERATION_FAILED, OPERATION_INVALID};
use crate::messages::{Message, Text};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Sought {
    /// A picture of its screen.
    Picture,
    /// A ticket.
    Line(Purpose),
    /// What a ticket is for.
    Open,
}

impl Sought {
    /// What Kimchi said when there was none. When a console cannot be opened that was said to be there, it said nothing.
    fn failed(self, name: Text, details: Text) -> Message {
        match self {
            Self::Picture => Message::KCHVM0006E { name, details },
            Self::Line(Purpose::Serial) => Message::KCHVM0077E { name, details },
            Self::Line(Purpose::Screen) => Message::FERRYVM0002E { name, details },
            Self::Open => Message::FERRYVM0002E { name, details },
        }
    }
}

impl Refusal {
    /// A console asked for otherwise than by a WebSocket.
    pub(in super::super) fn no_websocket() -> Self {
        Self::bad_request(Message::FERRYVM0001E)
    }

    /// Why a machine is not seen or spoken to.
    pub(in super::super) fn of_console(refused: &Refused, name: &str, sought: Sought) -> Self {
        let told = Text::from(shortened(name));
        let status = match refused {
            Refused::Unknown(silent) => return Self::unknown_vm(name, silent),
            Refused::NotAllowed => return Self::not_allowed(),
            Refused::Host(error) if error.is_no_domain() => return Self::no_such_vm(name),
            Refused::Stopped if sought == Sought::Picture => {
                return Self::not_found(Message::KCHVM0004E { name: told });
            }
            Refused::Stopped if sought == Sought::Line(Purpose::Screen) => {
                return Self::conflict(Message::KCHVM0010E { name: told });
            }
            Refused::NoSerial => {
                return Self::bad_request(Message::KCHVM0076E { name: told, details: refused.text() });
            }
            Refused::Stopped | Refused::NoScreen | Refused::OutOfReach { .. } => StatusCode::CONFLICT,
            Refused::NoPicture => StatusCode::NOT_FOUND,
            Refused::NoTicket => StatusCode::FORBIDDEN,
            Refused::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Host(error) if error.is_broken_connection() => StatusCode::SERVICE_UNAVAILABLE,
            // It has no screen, or none that can be told as a picture.
            Refused::Host(HostError::Libvirt { .. }) if sought == Sought::Picture => StatusCode::NOT_FOUND,
            Refused::Host(error)
                // Among others, that somebody has the console open.
                if matches!(error.libvirt_code(), Some(OPERATION_INVALID | OPERATION_FAILED)) =>
            {
                StatusCode::CONFLICT
            }
            Refused::Host(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let details = match refused {
            Refused::Host(HostError::Libvirt { source, .. }) => source.message.as_str().into(),
            other => other.text(),
        };
        Self::new(status, sought.failed(told, details))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libvirt::error::LibvirtError;

    #[test]
    fn the_inherited_ids_tell_why() {
        let libvirt = |code| {
            let source = LibvirtError::of(code, "libvirt said so");
            Refused::Host(HostError::Libvirt { host: "kvm1".to_owned(), call: "console", source })
        };
        let silent = || {
            Refused::Host(HostError::Unreachable { host: "kvm1".to_owned(), reason: "no route".to_owned() })
        };
        let (serial, screen) = (Sought::Line(Purpose::Serial), Sought::Line(Purpose::Screen));
        for (refused, sought, status, reason) in [
            (Refused::Unknown(Vec::new()), serial, 404, "KCHVM0002E: "),
            (Refused::NotAllowed, serial, 403, "WOKAPI0009E: "),
            (Refused::Stopped, Sought::Picture, 404, "KCHVM0004E: "),
            (libvirt(OPERATION_INVALID), Sought::Picture, 404, "KCHVM0006E: "),
            (libvirt(OPERATION_FAILED), Sought::Picture, 404, "KCHVM0006E: "),
            (Refused::NoPicture, Sought::Picture, 404, "KCHVM0006E: "),
            (silent(), Sought::Picture, 503, "KCHVM0006E: "),
            (Refused::Stopped, screen, 409, "KCHVM0010E: "),
            (Refused::NoScreen, screen, 409, "FERRYVM0002E: "),
            (Refused::Stopped, serial, 409, "KCHVM0077E: "),
            (Refused::NoSerial, serial, 400, "KCHVM0076E: "),
            (Refused::NoTicket, Sought::Open, 403, "FERRYVM0002E: "),
            (Refused::TooMany, Sought::Open, 503, "FERRYVM0002E: "),
            (
                libvirt(OPERATION_FAILED),
                Sought::Open,
                409,
                "FERRYVM0002E: The console of vm1 was not opened: libvirt said so",
            ),
            (libvirt(1), Sought::Open, 500, "FERRYVM0002E: "),
        ] {
            let refusal = Refusal::of_console(&refused, "vm1", sought);
            assert_eq!(refusal.status.as_u16(), status, "{refused:?}");
            assert!(refusal.reason().starts_with(reason), "{}", refusal.reason());
        }
    }
}
