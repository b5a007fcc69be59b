//! `vms`: what the hosts run, and what is done to it where it is.

use api::vm::VmState;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::filter::Filter;
use super::reasons::{Act, Refusal};
use super::{Arguments, PREFIX, answer, nothing_asked_for, required_body, schema};
use crate::access::Caller;
use crate::http::denial::whole_address;
use crate::http::extract::NamePath;
use crate::http::problem::Failure;
use crate::http::{AppState, to_the_end};
use crate::inventory::known::Known;
use crate::lifecycle::{Disks, Lifecycle, Refused, WithIt};
use crate::messages::Message;
use crate::model::action::Action;
use crate::model::change::Changes;
use crate::model::definition::{Definition, Graphics};

const MIB: u64 = 1 << 20;

/// A virtual machine as Kimchi told it, its keys in their order.
#[derive(Serialize)]
pub(super) struct Vm<'a> {
    name: &'a str,
    title: &'a str,
    description: &'a str,
    state: &'static str,
    stats: Stats,
    uuid: uuid::Uuid,
    memory: Memory,
    cpu_info: CpuInfo,
    screenshot: Option<String>,
    icon: Option<()>,
    graphics: Screen<'a>,
    users: &'a [String],
    groups: &'a [String],
    access: &'static str,
    persistent: bool,
    bootorder: &'a [String],
    bootmenu: &'static str,
    autostart: u8,
}

/// What it uses: whole zeros unless it runs.
#[derive(Serialize)]
struct Stats {
    cpu_utilization: Value,
    mem_utilization: Value,
    net_throughput: Value,
    net_throughput_peak: Value,
    io_throughput: Value,
    io_throughput_peak: Value,
}

#[derive(Serialize)]
struct Memory {
    current: u64,
    maxmemory: u64,
}

#[derive(Serialize)]
struct CpuInfo {
    vcpus: u32,
    maxvcpus: u32,
    topology: Value,
}

/// Its screen. The password and its end are never told: they would let anyone in who may look.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Screen<'a> {
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    listen: Option<&'a str>,
    port: Option<u16>,
    passwd: Option<()>,
    passwd_valid_to: Option<()>,
}

impl<'a> From<&'a Known> for Vm<'a> {
    fn from(vm: &'a Known) -> Self {
        let listed = &vm.listed;
        let definition = vm.definition.as_deref();
        let text = |of: fn(&Definition) -> &Option<String>| {
            definition.and_then(|definition| of(definition).as_deref()).unwrap_or_default()
        };
        let names = |of: fn(&Definition) -> &Vec<String>| definition.map(of).map_or(&[][..], Vec::as_slice);
        Self {
            name: &listed.name,
            title: text(|definition| &definition.title),
            description: text(|definition| &definition.description),
            state: listed.state.as_str(),
            stats: stats(vm),
            uuid: listed.uuid,
            memory: Memory { current: listed.memory_bytes / MIB, maxmemory: listed.max_memory_bytes / MIB },
            cpu_info: CpuInfo {
                vcpus: listed.vcpus,
                maxvcpus: definition.map_or(listed.vcpus, |definition| definition.vcpus_max),
                topology: topology(definition),
            },
            screenshot: screenshot(vm),
            icon: None,
            graphics: screen(definition.and_then(|definition| definition.graphics.first()), listed.state),
            users: names(|definition| &definition.access.users),
            groups: names(|definition| &definition.access.groups),
            access: "full",
            persistent: listed.persistent,
            bootorder: names(|definition| &definition.boot_devices),
            bootmenu: if definition.is_some_and(|definition| definition.boot_menu) { "yes" } else { "no" },
            autostart: u8::from(listed.autostart),
        }
    }
}

/// Where the picture on its screen is, while there is one.
fn screenshot(vm: &Known) -> Option<String> {
    let has_screen = vm.definition.as_deref().is_some_and(|definition| !definition.graphics.is_empty());
    let seen = has_screen && vm.listed.state == VmState::Running;
    seen.then(|| format!("{PREFIX}/vms/{}/screenshot", escaped(&vm.listed.name)))
}

fn stats(vm: &Known) -> Stats {
    let figures = &vm.figures;
    let running = vm.listed.state == VmState::Running;
    let figure = |value: f64| if running { json!(value) } else { json!(0) };
    // Whole numbers, as they were.
    let peak = |value: f64| json!(value as i64);
    Stats {
        cpu_utilization: figure(figures.cpu_percent),
        mem_utilization: figure(figures.memory_percent),
        net_throughput: figure(figures.net_kb_s),
        net_throughput_peak: peak(figures.net_peak_kb_s),
        io_throughput: figure(figures.disk_kib_s),
        io_throughput_peak: peak(figures.disk_peak_kib_s),
    }
}

fn topology(definition: Option<&Definition>) -> Value {
    match definition.and_then(|definition| definition.cpu.topology) {
        // Kimchi knew no dies: they are counted as sockets.
        Some([sockets, dies, cores, threads]) => {
            json!({ "sockets": sockets.saturating_mul(dies), "cores": cores, "threads": threads })
        }
        None => json!({}),
    }
}

fn screen(graphics: Option<&Graphics>, state: VmState) -> Screen<'_> {
    Screen {
        kind: graphics.map(|graphics| graphics.kind.as_str()),
        listen: graphics.and_then(|graphics| graphics.listen.as_deref()),
        port: graphics.and_then(|graphics| graphics.port).filter(|_| state == VmState::Running),
        passwd: None,
        passwd_valid_to: None,
    }
}

fn one(vm: &Known) -> Response {
    answer(&Vm::from(vm)).into_response()
}

/// The machines that the caller may use and that pass the filters.
pub(super) async fn list(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    Arguments(arguments): Arguments,
) -> Result<Response, Refusal> {
    let filter = Filter::new(arguments)?;
    app.fleet.want_figures();
    let known = app.fleet.known_to(|vm| caller.may_use(vm));
    let told: Vec<Vm<'_>> = known.iter().map(Vm::from).filter(|vm| filter.passes(vm)).collect();
    Ok(answer(&told).into_response())
}

/// One machine.
pub(super) async fn show(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    name: Result<NamePath, Failure>,
) -> Result<Response, Refusal> {
    let NamePath(name) = name.map_err(|_| Refusal::no_such_address())?;
    app.fleet.want_figures();
    match app.fleet.sought(&name) {
        Ok(vm) if caller.may_use(&vm) => Ok(one(&vm)),
        Ok(_) => Err(Refusal::not_allowed()),
        Err(silent) => Err(Refusal::unknown_vm(&name, &silent)),
    }
}

/// Makes a machine do something.
pub(super) async fn act(
    action: Action,
    (app, caller): (AppState, Caller),
    name: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    let NamePath(name) = name.map_err(|_| Refusal::no_such_address())?;
    nothing_asked_for(request).await?;
    let act = move |life: Lifecycle, name: String| async move { life.act(&name, action).await };
    let vm = done((app, caller), &name, Act::Do(action), act).await?;
    Ok(one(&vm))
}

/// Changes a machine. One that got another name has another address.
pub(super) async fn update(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    name: Result<NamePath, Failure>,
    request: Request,
) -> Result<Response, Refusal> {
    let NamePath(name) = name.map_err(|_| Refusal::no_such_address())?;
    let headers = request.headers().clone();
    let body = required_body(request).await?;
    schema::check("vm_update", &body)?;
    let changes = changes(&body);
    let change = move |life: Lifecycle, name: String| async move { life.change(&name, changes).await };
    let vm = done((app, caller), &name, Act::Change, change).await?;
    if vm.listed.name == name {
        return Ok(one(&vm));
    }
    let location = whole_address(&headers, &format!("{PREFIX}/vms/{}", escaped(&vm.listed.name)));
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)], one(&vm)).into_response())
}

/// What a body that fits its schema asks to be changed.
fn changes(body: &Value) -> Changes {
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    let names = |key: &str| -> Option<Vec<String>> {
        let names = body[key].as_array()?;
        Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    };
    let cpus = |key: &str| body["cpu_info"][key].as_u64().and_then(|count| u32::try_from(count).ok());
    Changes {
        name: text("name"),
        title: text("title"),
        description: text("description"),
        autostart: body["autostart"].as_bool(),
        memory_mib: body["memory"]["current"].as_u64(),
        max_memory_mib: body["memory"]["maxmemory"].as_u64(),
        vcpus: cpus("vcpus"),
        max_vcpus: cpus("maxvcpus"),
        users: names("users"),
        groups: names("groups"),
    }
}

/// Removes a machine. `?host=` says which copy is meant, `?disks=` and `?nvram=` what goes with it.
pub(super) async fn remove(
    State(app): State<AppState>,
    Extension(caller): Extension<Caller>,
    name: Result<NamePath, Failure>,
    Arguments(arguments): Arguments,
) -> Result<Response, Refusal> {
    let NamePath(name) = name.map_err(|_| Refusal::no_such_address())?;
    let with = with_it(&arguments)?;
    let host = arguments.into_iter().find_map(|(key, value)| (key == "host").then_some(value));
    let remove =
        move |life: Lifecycle, name: String| async move { life.remove(&name, host.as_deref(), &with).await };
    done((app, caller), &name, Act::Remove, remove).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What goes with a machine: `disks=all` or `disks=vda,vdb`, `nvram=true`. What cannot be understood must not be taken for less.
fn with_it(arguments: &[(String, String)]) -> Result<WithIt, Refusal> {
    let mut with = WithIt::default();
    for (key, value) in arguments {
        match (key.as_str(), value.as_str()) {
            ("disks", "all") => with.disks = Disks::All,
            ("disks", names) if names.split(',').all(|name| !name.is_empty()) => {
                with.disks = Disks::These(names.split(',').map(str::to_owned).collect());
            }
            ("nvram", "true") => with.nvram = true,
            ("nvram", "false") => with.nvram = false,
            ("disks", _) => {
                return Err(Refusal::schema(Message::FERRYSCHEMA0013I));
            }
            ("nvram", _) => return Err(Refusal::schema(Message::FERRYSCHEMA0014I)),
            _ => {}
        }
    }
    Ok(with)
}

/// Does something to a machine, to its end even when the client hangs up meanwhile.
pub(super) async fn done<T, F>(
    (app, caller): (AppState, Caller),
    name: &str,
    act: Act,
    work: impl FnOnce(Lifecycle, String) -> F,
) -> Result<T, Refusal>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Refused>> + Send + 'static,
{
    let work = work(Lifecycle::new(app.fleet, app.store, caller), name.to_owned());
    match to_the_end(async move { Ok(work.await) }).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(refused)) => Err(Refusal::of_lifecycle(&refused, name, act)),
        Err(Failure(problem)) => Err(Refusal::of(&problem)),
    }
}

/// A name as it stands in an address.
pub(super) fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let each = name
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    each.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::inventory::figures::Figures;
    use crate::libvirt::survey::Listed;
    use crate::libvirt::xml;

    fn known(xml: &str, state: VmState) -> Known {
        let definition = xml::definition(xml).unwrap();
        let listed = Listed {
            uuid: definition.uuid,
            name: definition.name.clone(),
            state,
            persistent: true,
            autostart: true,
            vcpus: definition.vcpus,
            max_memory_bytes: definition.memory_bytes,
            memory_bytes: definition.current_memory_bytes,
            cpu_time_ns: 0,
        };
        let figures = Figures { cpu_percent: 12.5, net_peak_kb_s: 312.0, ..Figures::default() };
        Known { host: "a".to_owned(), here: false, listed, definition: Some(Arc::new(definition)), figures }
    }

    const XML: &str = "<domain type='kvm'><name>VM 1/ä</name><uuid>a24f5045-dc32-425b-af7c-5802b16591a6</uuid>
        <title>Shop</title><description>Front</description><memory unit='MiB'>512</memory>
        <currentMemory unit='MiB'>256</currentMemory><vcpu current='1'>2</vcpu>
        <metadata><k:metadata xmlns:k='https://github.com/kimchi-project/kimchi'><access><user>joe</user></access></k:metadata>
        </metadata><os><type arch='x86_64'>hvm</type><boot dev='hd'/><boot dev='cdrom'/><bootmenu enable='yes'/></os>
        <cpu><topology sockets='2' dies='1' cores='1' threads='1'/></cpu>
        <devices><graphics type='vnc' port='5901' listen='127.0.0.1' passwd='hunter2'/></devices></domain>";

    #[test]
    fn every_key_is_told_as_it_was() {
        let told = serde_json::to_value(Vm::from(&known(XML, VmState::Running))).unwrap();
        assert_eq!(
            told,
            json!({
                "name": "VM 1/ä",
                "title": "Shop",
                "description": "Front",
                "state": "running",
                "stats": {
                    "cpu_utilization": 12.5,
                    "mem_utilization": 0.0,
                    "net_throughput": 0.0,
                    "net_throughput_peak": 312,
                    "io_throughput": 0.0,
                    "io_throughput_peak": 100,
                },
                "uuid": "a24f5045-dc32-425b-af7c-5802b16591a6",
                "memory": { "current": 256, "maxmemory": 512 },
                "cpu_info": {
                    "vcpus": 1, "maxvcpus": 2, "topology": { "sockets": 2, "cores": 1, "threads": 1 },
                },
                "screenshot": "/plugins/kimchi/vms/VM%201%2F%C3%A4/screenshot",
                "icon": null,
                "graphics": {
                    "type": "vnc", "listen": "127.0.0.1", "port": 5901, "passwd": null, "passwdValidTo": null,
                },
                "users": ["joe"],
                "groups": [],
                "access": "full",
                "persistent": true,
                "bootorder": ["hd", "cdrom"],
                "bootmenu": "yes",
                "autostart": 1,
            })
        );
        let stopped = serde_json::to_value(Vm::from(&known(XML, VmState::Shutoff))).unwrap();
        assert_eq!(stopped["stats"]["cpu_utilization"], json!(0));
        assert_eq!(stopped["graphics"]["port"], json!(null), "nobody listens there");
        assert_eq!(stopped["screenshot"], json!(null), "nothing is on it");
    }

    #[test]
    fn what_goes_with_a_machine_is_what_was_asked() {
        let asked = |key: &str, value: &str| with_it(&[(key.to_owned(), value.to_owned())]);
        assert_eq!(asked("host", "a").ok(), Some(WithIt::default()));
        assert_eq!(asked("disks", "all").ok().map(|with| with.disks), Some(Disks::All));
        let these = Disks::These(vec!["vda".to_owned(), "vdb".to_owned()]);
        assert_eq!(asked("disks", "vda,vdb").ok().map(|with| with.disks), Some(these));
        assert_eq!(asked("nvram", "true").ok().map(|with| with.nvram), Some(true));
        for (key, value) in [("disks", ""), ("disks", "vda,,vdb"), ("nvram", "yes")] {
            assert_eq!(
                asked(key, value).err().map(|refusal| refusal.status().as_u16()),
                Some(400),
                "{key}={value}"
            );
        }
    }

    #[test]
    fn changes_are_what_the_body_says() {
        let body = json!({
            "name": "b", "title": "", "autostart": false, "memory": { "current": 256 }, "cpu_info": { "maxvcpus": 4 },
            "users": ["joe"],
        });
        let expected = Changes {
            name: Some("b".to_owned()),
            title: Some(String::new()),
            autostart: Some(false),
            memory_mib: Some(256),
            max_vcpus: Some(4),
            users: Some(vec!["joe".to_owned()]),
            ..Changes::default()
        };
        assert_eq!(changes(&body), expected);
        assert_eq!(escaped("VM 1/ä"), "VM%201%2F%C3%A4");
    }
}
