//! What a history is about, drawn from its seed: the guest, the hosts' manners, and the faults with their moments.

use api::task::PostCopy;

use crate::dice::Dice;
use crate::world::migration::Phase;
use crate::world::{DESTINATION, Ms, SOURCE};

/// How often, of a thousand times, something small goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// A call takes effect, its answer is lost.
    pub lost: u64,
    /// The same, and the effect comes late.
    pub late: u64,
    /// A call is refused for no reason.
    pub refused: u64,
    /// A message takes its time.
    pub slow: u64,
    /// The migration's call says the opposite of what happened.
    pub lies: u64,
    /// The database fails.
    pub store: u64,
}

/// When a fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At this time.
    At(Ms),
    /// So long after the migration came to this phase.
    Phase(Phase, Ms),
    /// So long after the n-th intent was stored.
    Intent(u32, Ms),
    /// So long after a task ended that may have left something on a host which did not answer.
    Owed(Ms),
}

/// A fault; the time is how long it lasts, none for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// libvirtd is killed and started again.
    DaemonKill(usize, Ms),
    /// libvirtd is frozen.
    DaemonFreeze(usize, Ms),
    /// The guest's QEMU is killed.
    QemuKill(usize),
    /// The cable between the hosts is out.
    PeerCut(Option<Ms>),
    /// The cable between controllers and a host is out.
    ControlCut(usize, Option<Ms>),
    /// A host's power is off.
    PowerOff(usize, Option<Ms>),
    /// The connection of the two daemons breaks.
    ConnectionDrop,
    /// Somebody cancels.
    Cancel,
    /// Somebody limits the bandwidth anew, in MiB/s.
    Limit(u64),
    /// A controller is killed, and started again.
    ControllerKill(usize, Ms),
    /// The same at its n-th passing from now.
    ControllerFuse(usize, u32, Ms),
    /// A controller is frozen.
    ControllerFreeze(usize, Ms),
    /// Somebody's domain of the same name appears as soon as the name is free on a host.
    Bystander(usize),
    /// The controllers' connections to a host break.
    LinkDrop(usize),
    /// Somebody defines the guest on a host again.
    DefineAgain(usize),
    /// Somebody destroys the guest on a host and undefines it there.
    Remove(usize),
    /// Somebody starts the stopped guest on a host, where it is defined there.
    Start(usize),
    /// Somebody starts what an ended task has left over.
    StartLeftover,
    /// Somebody puts a file of theirs where the guest's image would come.
    File(usize),
    /// No fault: somebody looks what both hosts say, and it is kept.
    Look,
}

/// A fault and its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub what: What,
}

/// A history, before it happens.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The hosts offer a shell.
    pub shell: bool,
    /// The guest has a persistent definition.
    pub persistent: bool,
    /// It starts with its host.
    pub autostart: bool,
    /// It runs.
    pub wants_running: bool,
    /// It is stopped, and moved so.
    pub cold: bool,
    /// Its image is on the source alone, and goes along.
    pub files: bool,
    /// A copy of it is to stay on the source.
    pub copy: bool,
    /// The source's image is to go, once the guest is on the destination.
    pub deletes: bool,
    /// A controller is between the two daemons.
    pub direct: bool,
    /// It may be moved by post-copy; where only when it does not converge, it does not.
    pub post_copy: Option<PostCopy>,
    /// How long its memory takes to follow then.
    pub follow_ms: Ms,
    /// How long the copy takes.
    pub copy_ms: Ms,
    /// How long the last data takes.
    pub switch_ms: Ms,
    /// How long the order to finish, finishing, and its answer take.
    pub windows_ms: [Ms; 3],
    /// The longest pause asked for.
    pub max_downtime_ms: Option<Ms>,
    /// How many controllers share the store.
    pub controllers: usize,
    /// Small things.
    pub noise: Noise,
    /// Large ones.
    pub faults: Vec<Fault>,
    /// How long a person takes to decide; none does not.
    pub person_after: Option<Ms>,
    /// Which host's copy a person keeps.
    pub person_keeps_source: bool,
    /// The guest is sent on afterwards, undisturbed.
    pub again: bool,
    /// It is sent on at once, while something is owed where it is to go.
    pub hasty: bool,
}

impl Scenario {
    /// The history of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let persistent = dice.chance(80);
        let stretched = dice.chance(40);
        let mut scenario = Self {
            shell: dice.chance(75),
            persistent,
            autostart: persistent && dice.chance(50),
            wants_running: dice.chance(92),
            cold: false,
            files: false,
            copy: false,
            deletes: false,
            direct: false,
            post_copy: None,
            follow_ms: 0,
            copy_ms: dice.between(300, 12_000),
            switch_ms: if dice.chance(70) { dice.between(10, 250) } else { dice.between(250, 6_000) },
            windows_ms: [0; 3].map(|_| if stretched { dice.between(5, 2_500) } else { dice.between(5, 40) }),
            max_downtime_ms: None,
            controllers: if dice.chance(25) { 2 } else { 1 },
            noise: noise(dice),
            faults: Vec::new(),
            person_after: dice.chance(60).then(|| dice.between(2_000, 30_000)),
            person_keeps_source: dice.chance(50),
            again: dice.chance(30),
            hasty: false,
        };
        scenario.max_downtime_ms = dice.chance(30).then(|| scenario.switch_ms * 2 + 100);
        let count = dice.pick(&[0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4]);
        let mut for_good = false;
        for _ in 0..count {
            let fault = scenario.fault(dice, for_good);
            for_good |= fault.what.is_for_good();
            scenario.faults.push(fault);
        }
        if scenario.controllers > 1 && dice.chance(40) {
            scenario.late_riser(dice);
        }
        if persistent && dice.chance(15) {
            scenario.stopped(dice);
        }
        if dice.chance(if scenario.cold { 60 } else { 25 }) {
            scenario.with_image(dice);
            scenario.copy = persistent && dice.chance(30);
            scenario.deletes = !scenario.copy && dice.chance(40);
        }
        scenario.direct = !scenario.cold && dice.chance(20);
        if dice.chance(10) {
            let trigger = Trigger::Phase(Phase::Copy, dice.between(0, scenario.copy_ms));
            scenario.faults.push(Fault { trigger, what: What::Limit(dice.between(1, 1_000)) });
        }
        scenario.by_hand(dice);
        if scenario.wants_running && dice.chance(20) {
            scenario.by_post_copy(dice);
        }
        scenario
    }

    /// What people do by hand meanwhile; and connections that break by themselves.
    fn by_hand(&mut self, dice: &mut Dice) {
        let host = dice.pick(&[SOURCE, DESTINATION]);
        if self.persistent && dice.chance(4) {
            self.stranger(dice);
        }
        if dice.chance(4) {
            let trigger = self.trigger(dice);
            self.faults.push(Fault { trigger, what: What::Remove(host) });
        }
        if dice.chance(6) {
            let trigger = self.trigger(dice);
            self.faults.push(Fault { trigger, what: What::LinkDrop(host) });
        }
        if dice.chance(6) {
            self.leftover(dice);
        }
        self.hasty |= dice.chance(25);
    }

    /// Somebody defines the guest on the destination, before it is moved or meanwhile; perhaps nothing is begun then.
    fn stranger(&mut self, dice: &mut Dice) {
        let trigger = match dice.between(0, 9) {
            0..=3 => Trigger::At(0),
            4..=5 => Trigger::At(dice.between(1, 30)),
            6..=7 => {
                let n = u32::try_from(dice.between(1, 3)).unwrap_or(1);
                Trigger::Intent(n, dice.pick(&[0, 1, 3, 100]))
            }
            _ => self.trigger(dice),
        };
        self.faults.push(Fault { trigger, what: What::DefineAgain(DESTINATION) });
        if dice.chance(30) {
            let cut = What::ControlCut(DESTINATION, Some(dice.between(20_000, 90_000)));
            self.faults.push(Fault { trigger: Trigger::At(dice.between(0, 10)), what: cut });
        }
    }

    /// A host goes out of sight when the guest has just gone from it, or has not come to it: what is left there is owed. Somebody starts
    /// that, and controllers are started anew before or after the host is seen again; or somebody sends the guest on at once. Nothing
    /// else goes wrong, so that it comes to that.
    fn leftover(&mut self, dice: &mut Dice) {
        let (lasts, soon) = (dice.between(40_000, 100_000), dice.pick(&[0, 1, 5, 15, 50]));
        let strike = |phase, delay, what| Fault { trigger: Trigger::Phase(phase, delay), what };
        self.faults.clear();
        match dice.between(0, 3) {
            _ if self.cold => {
                let trigger =
                    Trigger::Intent(if self.files { 4 } else { 1 } + u32::from(self.autostart), soon);
                self.faults.push(Fault { trigger, what: What::ControlCut(DESTINATION, Some(lasts)) });
            }
            0..=1 => self.faults.push(strike(Phase::Answer, soon, What::PowerOff(DESTINATION, Some(lasts)))),
            2 => {
                self.faults.push(strike(Phase::Answer, 0, What::ControlCut(DESTINATION, Some(lasts))));
                self.faults.push(strike(Phase::Answer, 0, What::ConnectionDrop));
            }
            _ => self.faults.push(strike(Phase::Dying, soon, What::PowerOff(SOURCE, Some(lasts)))),
        }
        if dice.chance(40) {
            self.hasty = true;
            return;
        }
        let start = Trigger::Owed(dice.between(0, 8_000));
        self.faults.push(Fault { trigger: start, what: What::StartLeftover });
        for controller in 0..self.controllers {
            let kill = What::ControllerKill(controller, dice.between(200, 10_000));
            self.faults.push(Fault { trigger: Trigger::Owed(dice.between(0, lasts + 5_000)), what: kill });
        }
    }

    /// It may be switched to post-copy, and most of what goes wrong does so from then on. (Neither disks nor a controller in between go
    /// with that.)
    fn by_post_copy(&mut self, dice: &mut Dice) {
        self.post_copy = Some(dice.pick(&[PostCopy::Now, PostCopy::Now, PostCopy::WhenStuck]));
        (self.files, self.deletes, self.direct) = (false, false, false);
        self.follow_ms = dice.pick(&[100, 1_000, 8_000, 40_000]);
        self.copy_ms = self.copy_ms.max(dice.pick(&[300, 2_500, 5_000]));
        self.faults.retain(|fault| !matches!(fault.what, What::File(_)));
        if dice.chance(25) {
            // Long enough for QEMU to give the stream up, and short enough to join it again.
            self.follow_ms = 40_000;
            self.faults.clear();
            let cut = What::PeerCut(Some(dice.between(10_000, 100_000)));
            self.faults
                .push(Fault { trigger: Trigger::Phase(Phase::Follow, dice.between(0, 20_000)), what: cut });
        }
        for _ in 0..dice.between(0, 2) {
            let for_good = self.faults.iter().any(|fault| fault.what.is_for_good());
            let what = self.fault(dice, for_good).what;
            let phase = dice.pick(&[Phase::Switch, Phase::Follow, Phase::Follow, Phase::Follow]);
            let delay = dice.pick(&[0, 5, 50, 400, 3_000, 10_000]);
            self.faults.push(Fault { trigger: Trigger::Phase(phase, delay), what });
        }
    }

    /// The guest is stopped; perhaps somebody starts it, on either host, while it is moved.
    fn stopped(&mut self, dice: &mut Dice) {
        (self.cold, self.wants_running) = (true, false);
        if dice.chance(50) {
            // A host that boots it by itself as well would be two people's doing.
            self.autostart = false;
            let n = u32::try_from(dice.between(1, 4)).unwrap_or(1);
            let trigger = Trigger::Intent(n, dice.pick(&[0, 0, 1, 2, 3, 5, 20, 200]));
            self.faults.push(Fault { trigger, what: What::Start(dice.pick(&[SOURCE, DESTINATION])) });
        }
    }

    /// The guest's image goes along; perhaps somebody puts a file of theirs there.
    fn with_image(&mut self, dice: &mut Dice) {
        self.files = true;
        if dice.chance(15) {
            let n = u32::try_from(dice.between(1, 4)).unwrap_or(1);
            let trigger = Trigger::Intent(n, dice.pick(&[0, 1, 2, 3, 20]));
            self.faults.push(Fault { trigger, what: What::File(DESTINATION) });
        }
    }

    /// A controller that sleeps through its lease, right where it was about to act, and wakes when another has gone on.
    fn late_riser(&mut self, dice: &mut Dice) {
        let n = u32::try_from(dice.between(2, 5)).unwrap_or(2);
        let freeze = What::ControllerFreeze(0, dice.between(16_000, 40_000));
        self.faults.push(Fault { trigger: Trigger::Intent(n, dice.pick(&[0, 0, 1, 2, 3])), what: freeze });
        if dice.chance(60) {
            let delay = dice.between(1_000, 30_000);
            self.faults.push(Fault { trigger: Trigger::Intent(n, delay), what: What::Cancel });
        }
    }

    fn fault(&self, dice: &mut Dice, for_good: bool) -> Fault {
        let host = dice.pick(&[SOURCE, DESTINATION]);
        let controller = usize::try_from(dice.between(0, self.controllers as u64 - 1)).unwrap_or(0);
        let back = |dice: &mut Dice| {
            let lasts = dice.pick(&[5_000, 50_000, 0, 0]);
            let lasts = if lasts == 0 { dice.between(200, 70_000) } else { lasts };
            (for_good || dice.chance(85)).then_some(lasts)
        };
        let what = match dice.between(0, 99) {
            0..=12 => What::DaemonKill(host, dice.between(300, 12_000)),
            13..=24 => What::DaemonFreeze(host, dice.between(1_000, 60_000)),
            25..=32 => What::QemuKill(host),
            33..=43 => What::PeerCut(back(dice)),
            44..=51 => What::ControlCut(host, back(dice)),
            52..=60 => What::PowerOff(host, back(dice)),
            61..=66 => What::ConnectionDrop,
            67..=76 => What::Cancel,
            77..=82 => What::ControllerKill(controller, dice.between(200, 20_000)),
            83..=88 => {
                let passes = u32::try_from(dice.between(1, 60)).unwrap_or(1);
                What::ControllerFuse(controller, passes, dice.between(200, 20_000))
            }
            89..=95 => What::ControllerFreeze(controller, dice.between(1_000, 45_000)),
            _ => What::Bystander(DESTINATION),
        };
        Fault { trigger: self.trigger(dice), what }
    }

    fn trigger(&self, dice: &mut Dice) -> Trigger {
        match dice.between(0, 9) {
            0..=1 => Trigger::At(dice.between(0, self.copy_ms + self.switch_ms + 5_000)),
            2..=3 => {
                let n = u32::try_from(dice.between(1, 6)).unwrap_or(1);
                Trigger::Intent(n, dice.pick(&[0, 0, 1, 5, 100, 1_000]))
            }
            _ => {
                let phase = dice.pick(&[
                    Phase::Connect,
                    Phase::Prepare,
                    Phase::Copy,
                    Phase::SwitchOver,
                    Phase::SwitchOver,
                    Phase::Sent,
                    Phase::Sent,
                    Phase::Finish,
                    Phase::Finish,
                    Phase::Answer,
                    Phase::Answer,
                    Phase::Answer,
                    Phase::Confirm,
                    Phase::Dying,
                    Phase::Cancel,
                ]);
                let delay = dice.pick(&[0, 1, 5, 15, 50, 150, 400, 1_500]);
                Trigger::Phase(phase, delay)
            }
        }
    }
}

impl What {
    fn is_for_good(self) -> bool {
        matches!(self, Self::PeerCut(None) | Self::ControlCut(_, None) | Self::PowerOff(_, None))
    }
}

fn noise(dice: &mut Dice) -> Noise {
    match dice.between(0, 9) {
        0..=4 => Noise::default(),
        5..=7 => Noise { lost: 5, late: 3, refused: 5, slow: 20, lies: 30, store: 1 },
        _ => Noise { lost: 40, late: 20, refused: 40, slow: 60, lies: 200, store: 5 },
    }
}
