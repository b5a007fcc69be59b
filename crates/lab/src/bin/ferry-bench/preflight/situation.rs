//! What a situation consists of.

/// The domain that every situation is about.
pub(super) const DOMAIN: &str = "s1";
/// Another one that some situations need.
pub(super) const OTHER: &str = "other";
/// The hosts: two of bookworm, one of trixie.
pub(super) const HOSTS: [&str; 3] = ["kvm1", "kvm2", "kvm3"];

/// The domain as a situation wants it. It runs no system: what is asked is whether QEMU gets across.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) machine: &'static str,
    pub(super) memory_mib: u32,
    pub(super) cpu: String,
    /// Elements of the domain besides its devices.
    pub(super) head: String,
    pub(super) os: String,
    pub(super) emulator: &'static str,
    pub(super) devices: String,
    pub(super) transient: bool,
    pub(super) paused: bool,
    pub(super) stopped: bool,
    /// Attributes of `<domain>`, for other name spaces.
    pub(super) namespace: &'static str,
    /// The last elements of the domain.
    pub(super) tail: String,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            machine: "pc-q35-7.2",
            memory_mib: 64,
            cpu:
                "<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>"
                    .to_owned(),
            head: String::new(),
            os: "<boot dev='hd'/>".to_owned(),
            emulator: "/usr/bin/qemu-system-x86_64",
            devices: String::new(),
            transient: false,
            paused: false,
            stopped: false,
            namespace: "",
            tail: String::new(),
        }
    }
}

impl Shape {
    pub(super) fn xml(&self, uuid: &str) -> String {
        let Self { machine, memory_mib, cpu, head, os, emulator, devices, namespace, tail, .. } = self;
        format!(
            "<domain type='qemu' {namespace}><name>{DOMAIN}</name><uuid>{uuid}</uuid><memory unit='MiB'>{memory_mib}</memory>\
             <vcpu>1</vcpu>{head}<os><type arch='x86_64' machine='{machine}'>hvm</type>{os}</os>\
             <features><acpi/></features>{cpu}<devices><emulator>{emulator}</emulator>\
             <controller type='usb' model='none'/>{devices}</devices>{tail}</domain>"
        )
    }
}

/// Something done on a host.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A script; `@UUID@` in it stands for the domain's.
    Script(String),
    StopLibvirt,
    StartLibvirt,
    FreezeLibvirt,
    ThawLibvirt,
    RestartSshd,
    CableOut,
    CableIn,
}

impl From<&str> for What {
    fn from(script: &str) -> Self {
        Self::Script(script.to_owned())
    }
}

impl From<String> for What {
    fn from(script: String) -> Self {
        Self::Script(script)
    }
}

/// What is done where.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) host: &'static str,
    pub(super) what: What,
}

/// One situation: what is built, and what mends it where the report's own commands do not.
#[derive(Clone, Debug)]
pub(super) struct Situation {
    pub(super) subject: &'static str,
    pub(super) name: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) shape: Shape,
    /// Sent through libvirt's own connection.
    pub(super) secure: bool,
    /// Before the domain is started.
    pub(super) before: Vec<Step>,
    /// After that.
    pub(super) after: Vec<Step>,
    /// The code of the blocker that names the true cause; none where nothing is in the way.
    pub(super) cause: Option<&'static str>,
    /// What the report's remedy says in words, or what its command cannot do on a machine of the lab.
    pub(super) by_hand: Vec<Step>,
    /// Fails where the move went through and did harm.
    pub(super) unharmed: Vec<Step>,
    /// Before everything is cleared away.
    pub(super) undo: Vec<Step>,
}

impl Situation {
    /// One in which nothing is in the way.
    pub(super) fn go(subject: &'static str, name: &'static str) -> Self {
        Self {
            subject,
            name,
            from: "kvm1",
            to: "kvm2",
            shape: Shape::default(),
            secure: false,
            before: Vec::new(),
            after: Vec::new(),
            cause: None,
            by_hand: Vec::new(),
            unharmed: Vec::new(),
            undo: Vec::new(),
        }
    }

    /// One that this blocker is about.
    pub(super) fn stop(subject: &'static str, name: &'static str, cause: &'static str) -> Self {
        Self { cause: Some(cause), ..Self::go(subject, name) }
    }

    pub(super) fn between(mut self, from: &'static str, to: &'static str) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    pub(super) fn shape(mut self, change: impl FnOnce(&mut Shape)) -> Self {
        change(&mut self.shape);
        self
    }

    pub(super) fn devices(self, xml: impl Into<String>) -> Self {
        let xml = xml.into();
        self.shape(|shape| shape.devices.push_str(&xml))
    }

    pub(super) fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    pub(super) fn before(mut self, host: &'static str, what: impl Into<What>) -> Self {
        self.before.push(Step { host, what: what.into() });
        self
    }

    pub(super) fn after(mut self, host: &'static str, what: impl Into<What>) -> Self {
        self.after.push(Step { host, what: what.into() });
        self
    }

    pub(super) fn by_hand(mut self, host: &'static str, what: impl Into<What>) -> Self {
        self.by_hand.push(Step { host, what: what.into() });
        self
    }

    pub(super) fn unharmed(mut self, host: &'static str, what: impl Into<What>) -> Self {
        self.unharmed.push(Step { host, what: what.into() });
        self
    }

    pub(super) fn undo(mut self, host: &'static str, what: impl Into<What>) -> Self {
        self.undo.push(Step { host, what: what.into() });
        self
    }

    /// The remedy is to shut the domain down, change its definition (by an expression of sed's) and start it again.
    pub(super) fn changed_by_hand(self, sed: &str) -> Self {
        let from = self.from;
        self.by_hand(
            from,
            format!(
                "virsh -q destroy {DOMAIN}; virsh dumpxml --inactive {DOMAIN} | sed \"{sed}\" >/tmp/changed.xml && \
                 virsh -q define /tmp/changed.xml && virsh -q start {DOMAIN}"
            ),
        )
    }
}

/// A script that defines and starts another domain.
pub(super) fn other(uuid: &str, devices: &str, start: bool) -> String {
    other_named(OTHER, uuid, "", devices, start)
}

pub(super) fn other_named(name: &str, uuid: &str, head: &str, devices: &str, start: bool) -> String {
    let shape = Shape { devices: devices.to_owned(), head: head.to_owned(), ..Shape::default() };
    let xml = shape.xml(uuid).replace(&format!("<name>{DOMAIN}</name>"), &format!("<name>{name}</name>"));
    let start = if start { format!(" && virsh -q start {name}") } else { String::new() };
    format!("cat >/tmp/other.xml <<'X'\n{xml}\nX\nvirsh -q define /tmp/other.xml{start}")
}

/// A virtio disk that is an image.
pub(super) fn disk(target: &str, format: &str, cache: &str, path: &str) -> String {
    format!(
        "<disk type='file' device='disk'><driver name='qemu' type='{format}' cache='{cache}'/><source file='{path}'/>\
         <target dev='{target}' bus='virtio'/></disk>"
    )
}

/// An interface on a bridge.
pub(super) fn interface(bridge: &str, mac: &str) -> String {
    format!(
        "<interface type='bridge'><mac address='{mac}'/><source bridge='{bridge}'/><model type='virtio'/><rom enabled='no'/>\
         </interface>"
    )
}

/// A script that makes an image.
pub(super) fn image(format: &str, path: &str) -> String {
    format!("qemu-img create -q -f {format} {path} 16M")
}
