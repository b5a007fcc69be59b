//! The hosts on which the situations are built, and what really happens there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::{Daemon, Host, Lab, Release, random_uuid};
use serde::Deserialize;

use super::situation::{DOMAIN, HOSTS, OTHER, Shape, Situation, Step, What};
use crate::controller::{Controller, Reach, peer_uri};

/// A move that takes longer hangs: idle domains of 64 MiB need a second or two.
const HANGS_AFTER_S: &str = "25";
const SETTLES_WITHIN: Duration = Duration::from_secs(60);
/// By these findings Ferry does what virsh does not: files go along, or the definition leads to others of the host's.
const BEYOND_VIRSH: [&str; 5] =
    ["disk-copied", "backing-carried", "nvram-carried", "emulator-mapped", "firmware-mapped"];
/// A remedy that is a command of the report's.
pub(super) const BY_COMMAND: &str = "by its command";
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Three hosts with a ferryd that knows them.
pub(super) struct Rig {
    // Dropped first: its processes live in the lab.
    controller: Controller,
    pub(super) lab: Lab,
    pub(super) uuid: String,
}

/// What `ferry check` said.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Report {
    verdict: String,
    pub(super) findings: Vec<Finding>,
    pub(super) took_ms: u64,
    pub(super) questions: Vec<Question>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Finding {
    pub(super) code: String,
    severity: String,
    pub(super) message: String,
    remedy: Option<Remedy>,
}

#[derive(Clone, Debug, Deserialize)]
struct Remedy {
    command: Option<String>,
    host: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Question {
    pub(super) took_ms: u64,
}

impl Report {
    pub(super) fn go(&self) -> bool {
        self.verdict == "go"
    }

    pub(super) fn blockers(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == "blocker")
    }

    fn has(&self, code: &str) -> bool {
        self.findings.iter().any(|finding| finding.code == code)
    }
}

/// What `virsh migrate` came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reality {
    Moved,
    /// It moved, with files that virsh does not carry.
    MovedByFerry,
    /// It went through, and something was lost by it.
    Harm,
    /// libvirt's words.
    Refused(String),
    Hung,
}

impl Reality {
    /// Whether all is well where it was to go.
    pub(super) fn moved(&self) -> bool {
        matches!(self, Self::Moved | Self::MovedByFerry)
    }
}

impl Rig {
    pub(super) fn up(name: &str) -> Result<Self> {
        let lab = Lab::builder(name)
            .host(HOSTS[0], Release::Bookworm)
            .host(HOSTS[1], Release::Bookworm)
            .host(HOSTS[2], Release::Trixie)
            .up()?;
        let controller = Controller::start(&lab, Reach::Shell)?;
        Ok(Self { controller, lab, uuid: random_uuid()? })
    }

    /// Builds a situation, up to where the question is asked.
    pub(super) fn build(&self, situation: &Situation) -> Result<()> {
        self.carry_out(&situation.before)?;
        self.start(&situation.shape, situation.from)?;
        self.carry_out(&situation.after)?;
        self.wait_known(situation)
    }

    fn start(&self, shape: &Shape, host: &str) -> Result<()> {
        let xml = shape.xml(&self.uuid);
        let run = |script: &str| self.lab.host(host).run_with_input(&["sh", "-c", script], xml.as_bytes());
        let verb = match shape {
            Shape { transient: true, .. } => "virsh -q create /dev/stdin".to_owned(),
            Shape { stopped: true, .. } => "virsh -q define /dev/stdin".to_owned(),
            Shape { paused: true, .. } => {
                format!("virsh -q define /dev/stdin && virsh -q start --paused {DOMAIN}")
            }
            _ => format!("virsh -q define /dev/stdin && virsh -q start {DOMAIN}"),
        };
        run(&verb).context("the domain")?;
        Ok(())
    }

    pub(super) fn carry_out(&self, steps: &[Step]) -> Result<()> {
        for step in steps {
            let host = self.lab.host(step.host);
            match &step.what {
                What::Script(script) => self.script(&host, script)?,
                What::StopLibvirt => host.stop_daemon(Daemon::Libvirtd)?,
                What::StartLibvirt => host.start_daemon(Daemon::Libvirtd)?,
                What::FreezeLibvirt => host.freeze(Daemon::Libvirtd)?,
                What::ThawLibvirt => host.thaw(Daemon::Libvirtd)?,
                What::RestartSshd => host.restart_daemon(Daemon::Sshd)?,
                What::CableOut => host.cut()?,
                What::CableIn => host.join()?,
            }
        }
        Ok(())
    }

    fn script(&self, host: &Host, script: &str) -> Result<()> {
        let script = script.replace("@UUID@", &self.uuid);
        host.run(&["bash", "-c", &script]).map(drop)
    }

    /// ferryd has heard of every domain that there is.
    fn wait_known(&self, situation: &Situation) -> Result<()> {
        let silent =
            |step: &Step| matches!(step.what, What::StopLibvirt | What::FreezeLibvirt | What::CableOut);
        let mut wanted = Vec::new();
        for host in HOSTS {
            if situation.after.iter().any(|step| step.host == host && silent(step)) {
                continue;
            }
            let names = self.lab.host(host).virsh(&["list", "--all", "--name"])?;
            wanted.extend(names.lines().filter(|line| !line.is_empty()).map(|name| (host, name.to_owned())));
        }
        let stopped = if situation.shape.stopped { "" } else { "shutoff" };
        self.until("ferry knows the domains", || {
            let Ok(vms) = self.ferry(&["vm", "list"]) else { return false };
            let Some(vms) = vms.as_array() else { return false };
            wanted.iter().all(|(host, name)| {
                vms.iter().any(|vm| {
                    let is = vm["host"] == **host && vm["name"] == *name.as_str();
                    is && (*host != situation.from || name != DOMAIN || vm["state"] != stopped)
                })
            })
        })
    }

    fn ferry(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let words = [&["ferry", "--json"], arguments].concat();
        Ok(serde_json::from_str(&self.lab.controller().run(&words)?)?)
    }

    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
        let deadline = Instant::now() + SETTLES_WITHIN;
        while !holds() {
            if Instant::now() > deadline {
                bail!("{what}: not within {SETTLES_WITHIN:?}\nferryd says:\n{}", self.controller.log());
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// What the checks say.
    pub(super) fn check(&self, from: &str, to: &str, secure: bool) -> Result<Report> {
        let mut words = vec!["ferry", "--json", "check", &self.uuid, "--from", from, "--to", to];
        words.extend(secure.then_some("--secure"));
        let output = self.lab.controller().output(&words)?;
        // 3: the checks refuse, and tell why all the same.
        if !matches!(output.status.code(), Some(0 | 3)) {
            bail!("ferry check: {}", String::from_utf8_lossy(&output.stderr));
        }
        let reports: Vec<Report> = serde_json::from_slice(&output.stdout)?;
        reports.into_iter().next().context("one report")
    }

    /// What really happens.
    pub(super) fn try_it(&self, situation: &Situation, report: &Report) -> Result<Reality> {
        if report.go() && BEYOND_VIRSH.iter().any(|code| report.has(code)) {
            return self.try_it_by_ferry(situation);
        }
        let peer = peer_uri(situation.to);
        let mut words = vec!["timeout", "-k", "2", HANGS_AFTER_S, "virsh", "migrate", "--p2p"];
        words.push(if situation.shape.stopped { "--offline" } else { "--live" });
        if !situation.shape.transient {
            words.extend(["--persistent", "--undefinesource"]);
        }
        words.extend(situation.secure.then_some("--tunnelled"));
        // What Ferry proves, it tells libvirt.
        words.extend(report.has("sharing-proven").then_some("--unsafe"));
        words.extend([DOMAIN, &peer]);
        let source = self.lab.host(situation.from);
        let output = source.output(&words)?;
        if output.status.success() {
            let harmed =
                situation.unharmed.iter().any(|step| self.carry_out(std::slice::from_ref(step)).is_err());
            return Ok(if harmed { Reality::Harm } else { Reality::Moved });
        }
        if output.status.code() == Some(124) {
            // Nobody waits for it any more, but libvirt: it must not go on once the hindrance is gone.
            source.kill_daemon(Daemon::Libvirtd)?;
            source.start_daemon(Daemon::Libvirtd)?;
            return Ok(Reality::Hung);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no word");
        Ok(Reality::Refused(first.trim_start_matches("error: ").to_owned()))
    }

    /// The same where Ferry does more than virsh.
    fn try_it_by_ferry(&self, situation: &Situation) -> Result<Reality> {
        let words = [
            "timeout",
            "-k",
            "2",
            "60",
            "ferry",
            "migrate",
            &self.uuid,
            "--from",
            situation.from,
            "--to",
            situation.to,
        ];
        let output = self.lab.controller().output(&words)?;
        if output.status.success() {
            return Ok(Reality::MovedByFerry);
        }
        // Before its own word come the findings.
        let said = String::from_utf8_lossy(&output.stderr);
        let word = said.lines().find(|line| line.starts_with("ferry: ")).unwrap_or("no word");
        Ok(Reality::Refused(word.to_owned()))
    }

    /// Carries out what the report says: by the situation's own steps where it says it in words, by its commands otherwise.
    /// None where there is nothing that can be carried out.
    pub(super) fn mend(&self, situation: &Situation, report: &Report) -> Result<Option<&'static str>> {
        if !situation.by_hand.is_empty() {
            self.carry_out(&situation.by_hand)?;
            return Ok(Some("by hand"));
        }
        let mut done = None;
        for remedy in report.blockers().filter_map(|finding| finding.remedy.as_ref()) {
            let Some(command) = &remedy.command else { continue };
            let host =
                remedy.host.as_deref().map_or_else(|| self.lab.controller(), |host| self.lab.host(host));
            host.run(&["bash", "-c", command]).with_context(|| format!("the remedy {command}"))?;
            done = Some(BY_COMMAND);
        }
        Ok(done)
    }

    /// All hosts answer ferryd again, and the domain is where it was.
    pub(super) fn wait_mended(&self) -> Result<()> {
        self.until("the hosts are connected", || {
            let Ok(hosts) = self.ferry(&["host", "list"]) else { return false };
            hosts.as_array().is_some_and(|hosts| hosts.iter().all(|host| host["state"] == "connected"))
        })
    }

    /// Takes everything away again.
    pub(super) fn clear(&self, situation: &Situation) -> Result<()> {
        // Hosts that do not answer first, or nothing else can be cleared away there.
        for step in situation.after.iter().chain(&situation.before) {
            let host = self.lab.host(step.host);
            match step.what {
                What::FreezeLibvirt => host.thaw(Daemon::Libvirtd)?,
                What::CableOut => host.join()?,
                // Where it was started again, that is as good.
                What::StopLibvirt => drop(host.start_daemon(Daemon::Libvirtd)),
                _ => {}
            }
        }
        self.carry_out(&situation.undo)?;
        for name in HOSTS {
            let host = self.lab.host(name);
            self.until("a libvirt that answers", || host.virsh(&["list"]).is_ok())?;
            for domain in [DOMAIN, OTHER] {
                let away = format!(
                    "virsh -q destroy {domain} 2>/dev/null; \
                     virsh -q undefine {domain} --managed-save --snapshots-metadata --checkpoints-metadata --nvram 2>/dev/null; true"
                );
                self.script(&host, &away)?;
            }
            self.script(&host, "rm -rf /var/lib/libvirt/images/* /var/lib/libvirt/qemu/nvram/* /tmp/*.xml")?;
        }
        self.script(&self.lab.host(HOSTS[0]), "rm -rf /srv/shared/*")?;
        self.wait_mended()?;
        self.until("ferry knows that nothing is there", || {
            self.ferry(&["vm", "list"]).is_ok_and(|vms| vms.as_array().is_some_and(Vec::is_empty))
        })
    }
}
