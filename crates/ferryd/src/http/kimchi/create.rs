//! `POST /vms`: a machine that is made anew. Kimchi made one from a template that it kept; here the request itself is that.

use std::net::{IpAddr, Ipv4Addr};

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::reasons::Refusal;
use super::tasks::KimchiTask;
use super::{Arguments, required_body, schema};
use crate::access::Caller;
use crate::http::problem::{Failure, shortened};
use crate::http::{AppState, to_the_end};
use crate::lifecycle::{CreationRefused, Lifecycle};
use crate::messages::{Message, Text};
use crate::model::creation::{Screen, Unfit, Volume, Wanted, WantedDisk};

const GIB: u64 = 1 << 30;
/// What stands before the name of a storage pool in Kimchi's templates.
const POOLS: &str = "/plugins/kimchi/storagepools/";

/// Has a machine made. `?host=` says on which host.
pub(super) async fn create(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    Arguments(arguments): Arguments,
    request: Request,
) -> Result<Response, Refusal> {
    let body = required_body(request).await?;
    schema::check("vm_create", &body)?;
    let wanted = wanted(&body)?;
    let host = arguments.into_iter().find_map(|(key, value)| (key == "host").then_some(value));
    let name = wanted.name.clone();
    let engine = app.engine.clone();
    let life = Lifecycle::new(app.fleet, app.store, caller);
    let work = async move { Ok(life.create(wanted, host.as_deref(), &engine).await) };
    match to_the_end(work).await {
        Ok(Ok(task)) => Ok((StatusCode::ACCEPTED, KimchiTask::from(&task)).into_response()),
        Ok(Err(refused)) => Err(refusal(&refused, &name)),
        Err(Failure(problem)) => Err(Refusal::of(&problem)),
    }
}

/// What a body that fits its schema asks for.
fn wanted(body: &Value) -> Result<Wanted, Refusal> {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    let memory = &body["memory"];
    let memory_mib = memory.as_u64().or_else(|| memory["current"].as_u64()).unwrap_or_default();
    let max_memory_mib = memory["maxmemory"].as_u64().unwrap_or(memory_mib);
    if memory_mib > max_memory_mib {
        let (memory, most) = (memory_mib.into(), max_memory_mib.into());
        return Err(Refusal::bad_request(Message::KCHTMPL0031E { memory, most }));
    }
    let cpus = |key: &str| body["cpu_info"][key].as_u64().and_then(|count| u32::try_from(count).ok());
    let vcpus = cpus("vcpus").unwrap_or(1);
    let max_vcpus = cpus("maxvcpus").unwrap_or(vcpus);
    if vcpus > max_vcpus {
        return Err(Refusal::bad_request(Message::KCHCPUINF0001E));
    }
    let networks = body["networks"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(Wanted {
        name: text("name"),
        title: text("title"),
        description: text("description"),
        memory_mib,
        max_memory_mib,
        vcpus,
        max_vcpus,
        disks: body["disks"].as_array().into_iter().flatten().map(disk).collect(),
        cdrom: body["cdrom"].as_str().map(str::to_owned),
        networks: networks.map(str::to_owned).collect(),
        screen: screen(&body["graphics"])?,
    })
}

fn disk(disk: &Value) -> WantedDisk {
    let pool = disk["pool"]["name"].as_str().unwrap_or_default();
    let volume = match disk["volume"].as_str() {
        Some(name) => Volume::Existing(name.to_owned()),
        None => Volume::New { capacity_bytes: disk["size"].as_u64().unwrap_or_default().saturating_mul(GIB) },
    };
    WantedDisk {
        pool: pool.strip_prefix(POOLS).unwrap_or(pool).to_owned(),
        format: disk["format"].as_str().unwrap_or("qcow2").to_owned(),
        volume,
    }
}

fn screen(graphics: &Value) -> Result<Screen, Refusal> {
    let listen = match graphics["listen"].as_str() {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(text) => text.parse().map_err(|_| Refusal::bad_request(Message::KCHVM0015E))?,
    };
    Ok(Screen { kind: graphics["type"].as_str().unwrap_or("vnc").to_owned(), listen })
}

/// What Kimchi said when none could be made.
pub(super) fn failed(name: Text, details: Text) -> Message {
    Message::KCHVM0007E { name, details }
}

fn refusal(refused: &CreationRefused, name: &str) -> Refusal {
    let told = || Text::from(shortened(name));
    match refused {
        CreationRefused::Refused(refused) => Refusal::of_undone(refused, name, failed),
        CreationRefused::Unfit(unfit) => match inherited(unfit, told()) {
            Some(reason) => Refusal::bad_request(reason),
            None => Refusal::conflict(failed(told(), refused.text())),
        },
        CreationRefused::NoSuchHost(_) => Refusal::not_found(failed(told(), refused.text())),
        CreationRefused::NoHost => Refusal::conflict(failed(told(), refused.text())),
    }
}

/// What Kimchi said of that, where it had a word for it. (Its templates had names of their own.)
fn inherited(unfit: &Unfit, name: Text) -> Option<Message> {
    let short = |text: &str| Text::from(shortened(text));
    Some(match unfit {
        Unfit::NameTaken => Message::KCHVM0001E { name },
        Unfit::NoPool(pool) => Message::KCHTMPL0004E { pool: short(pool), name },
        Unfit::NotMadeIn(_) => Message::KCHTMPL0018E { details: unfit.text() },
        Unfit::OnlyRaw(_) => Message::KCHTMPL0029E,
        Unfit::NoVolume { pool, volume } => {
            Message::KCHTMPL0019E { volume: short(volume), pool: short(pool) }
        }
        Unfit::NoMedium(path) => Message::KCHTMPL0002E { path: short(path) },
        Unfit::NoNetwork(network) => Message::KCHTMPL0003E { network: short(network), name },
        Unfit::NetworkInactive(network) => Message::KCHTMPL0007E { network: short(network), name },
        Unfit::TooMuchMemory(most_mib) => Message::KCHVM0041E { maxmem: (*most_mib).into() },
        Unfit::TooManyCpus(_) => Message::KCHCPUINF0004E { details: unfit.text() },
        Unfit::PoolInactive(_)
        | Unfit::NoPath(_)
        | Unfit::OtherFormat { .. }
        | Unfit::Used(..)
        | Unfit::NoScreen(_)
        | Unfit::NoMachines(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(body: Value) -> Result<Wanted, Refusal> {
        schema::check("vm_create", &body)?;
        wanted(&body)
    }

    #[test]
    fn a_body_is_what_is_wanted() {
        let least = asked(json!({"name": "web", "memory": 512})).unwrap();
        assert_eq!((least.memory_mib, least.max_memory_mib, least.vcpus, least.max_vcpus), (512, 512, 1, 1));
        assert_eq!((least.disks.len(), least.networks.len(), least.cdrom), (0, 0, None));
        assert_eq!(
            (least.screen.kind.as_str(), least.screen.listen),
            ("vnc", IpAddr::V4(Ipv4Addr::LOCALHOST))
        );
        let all = asked(json!({
            "name": "web", "title": "Shop", "description": "a\nb",
            "memory": {"current": 512, "maxmemory": 1024}, "cpu_info": {"vcpus": 1, "maxvcpus": 2},
            "disks": [
                {"pool": {"name": "/plugins/kimchi/storagepools/default"}, "size": 2},
                {"pool": {"name": "fast"}, "volume": "old", "format": "raw"},
            ],
            "cdrom": "/iso/a.iso", "networks": ["lan", "lan"], "graphics": {"type": "spice", "listen": "::1"},
        }))
        .unwrap();
        assert_eq!((all.memory_mib, all.max_memory_mib, all.vcpus, all.max_vcpus), (512, 1024, 1, 2));
        let disk = |pool: &str, format: &str, volume| WantedDisk {
            pool: pool.to_owned(),
            format: format.to_owned(),
            volume,
        };
        assert_eq!(
            all.disks,
            [
                disk("default", "qcow2", Volume::New { capacity_bytes: 2 << 30 }),
                disk("fast", "raw", Volume::Existing("old".to_owned())),
            ]
        );
        assert_eq!((all.networks.len(), all.cdrom.as_deref()), (2, Some("/iso/a.iso")));
        assert_eq!((all.screen.kind.as_str(), all.screen.listen.to_string().as_str()), ("spice", "::1"));
    }

    #[test]
    fn a_wrong_body_is_told_with_its_id() {
        let with = |key: &str, value: Value| {
            let mut body = json!({"name": "web", "memory": 512});
            body[key] = value;
            body
        };
        let disk = |disk: Value| with("disks", json!([disk]));
        for (body, reason) in [
            (json!({}), "WOKAPI0008E: "),
            (json!({"name": "web"}), "WOKAPI0008E: "),
            (json!({"name": "a/b", "memory": 512}), "KCHVM0011E: "),
            (with("template", json!("/plugins/kimchi/templates/t")), "WOKAPI0008E: "),
            (with("memory", json!(0)), "KCHTMPL0013E: "),
            (with("memory", json!({"maxmemory": 5})), "KCHTMPL0013E: "),
            (with("memory", json!({"current": 5, "maxmemory": 4})), "KCHTMPL0031E: "),
            (with("cpu_info", json!({"vcpus": 0})), "KCHTMPL0012E: "),
            (with("cpu_info", json!({"vcpus": 2, "maxvcpus": 1})), "KCHCPUINF0001E: "),
            (disk(json!({"size": 1})), "KCHTMPL0028E: "),
            (disk(json!({"pool": {"name": "p"}})), "KCHTMPL0028E: "),
            (disk(json!({"pool": {"name": "p"}, "volume": "v"})), "KCHTMPL0028E: "),
            (disk(json!({"pool": {"name": "p"}, "size": 0})), "KCHTMPL0022E: "),
            (disk(json!({"pool": {"name": "p"}, "size": 1, "format": "vmdk"})), "KCHTMPL0027E: "),
            (disk(json!({"pool": {"name": "a/b"}, "size": 1})), "KCHTMPL0015E: "),
            (disk(json!({"pool": {"name": "p"}, "volume": "../v", "format": "raw"})), "WOKAPI0008E: "),
            (with("cdrom", json!("http://a/b.iso")), "KCHTMPL0014E: "),
            (with("networks", json!("lan")), "KCHTMPL0017E: "),
            (with("networks", json!(vec!["lan"; 33])), "WOKAPI0008E: "),
            (with("disks", json!(vec![json!({"pool": {"name": "p"}, "size": 1}); 65])), "WOKAPI0008E: "),
            (with("graphics", json!({"type": "sdl"})), "KCHVM0014E: "),
            (with("graphics", json!({"listen": "host"})), "KCHVM0015E: "),
        ] {
            let refused = asked(body.clone()).unwrap_err();
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
            assert!(refused.reason().starts_with(reason), "{body}: {}", refused.reason());
        }
    }

    #[test]
    fn what_the_host_has_not_is_told_with_kimchis_ids() {
        let name = || "p".to_owned();
        let volume = Unfit::NoVolume { pool: name(), volume: name() };
        for (unfit, status, reason) in [
            (Unfit::NameTaken, 400, "KCHVM0001E: Virtual machine web already exists"),
            (
                Unfit::NoPool(name()),
                400,
                "KCHTMPL0004E: Storage pool p specified for template web does not exist",
            ),
            (volume, 400, "KCHTMPL0019E: The volume p is not in storage pool p"),
            (Unfit::NotMadeIn(name()), 400, "KCHTMPL0018E: "),
            (Unfit::OnlyRaw(name()), 400, "KCHTMPL0029E: "),
            (Unfit::NoMedium(name()), 400, "KCHTMPL0002E: Source media p not found"),
            (
                Unfit::NoNetwork(name()),
                400,
                "KCHTMPL0003E: Network 'p' specified for template web does not exist",
            ),
            (Unfit::NetworkInactive(name()), 400, "KCHTMPL0007E: "),
            (Unfit::TooMuchMemory(2048), 400, "KCHVM0041E: "),
            (
                Unfit::PoolInactive(name()),
                409,
                "KCHVM0007E: Unable to create virtual machine web. Details: the storage",
            ),
            (Unfit::Used("v".into(), "u".into()), 409, "KCHVM0007E: "),
        ] {
            let refusal = refusal(&CreationRefused::Unfit(unfit), "web");
            assert_eq!(refusal.status().as_u16(), status, "{}", refusal.reason());
            assert!(refusal.reason().starts_with(reason), "{}", refusal.reason());
        }
        let host = refusal(&CreationRefused::NoSuchHost(name()), "web");
        assert_eq!(host.status(), StatusCode::NOT_FOUND);
    }
}
