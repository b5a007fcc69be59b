//! Who asks, and what that person may do.
//!
//! * [`person`] – who somebody is: role, groups, and which virtual machines that lets them use.
//! * [`pam`] – asks this machine whether a password is right.
//! * `sessions`, `proven`, `tries` – logins that last, passwords that were right a moment ago, passwords that were wrong.
//!
//! A password is checked on a thread of its own within a time limit, few at once, and of one user one after the other; who would wait
//! behind many, or for long, is told so instead. No password is kept: what must be recognised again is kept as a keyed hash, under a key that this process alone has and forgets.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;

use crate::ssh::Secret;

pub mod pam;
pub mod person;
mod proven;
mod sessions;
mod tries;

pub use person::{Caller, Person, Role};
use proven::Proven;
pub use sessions::SESSION_IDLE;
use sessions::Sessions;
use tries::Tries;

/// How long the check of one password may take. A wrong one takes PAM about two seconds.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);
/// How many passwords are checked at once; a check that hangs counts until it ends.
const CHECKS_AT_ONCE: usize = 8;
/// Users are spread over this many turns; those of one turn are checked one after the other.
const TURNS: usize = 64;
/// How many checks of one turn there may be, the one under way among them.
const PLACES: usize = 16;
/// How long a check may wait for its turn: longer than one before it may take, shorter than a queue of those that hang.
const TURN_LIMIT: Duration = Duration::from_secs(20);
/// No name of a user is longer (`LOGIN_NAME_MAX`), and no password.
const LONGEST_BYTES: usize = 256;

/// What is kept of a secret: a keyed hash.
type Digest = [u8; 32];

/// A user as this machine knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub name: String,
    /// The user's number; 0 is root.
    pub uid: u32,
    /// Names of the user's groups, the primary one first.
    pub groups: Vec<String>,
}

/// A password could be called neither right nor wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckFailed(pub String);

/// Knows users and their passwords.
pub trait PasswordCheck: Send + Sync {
    /// The account of this user if that is their password and they may log in. Blocks.
    ///
    /// # Errors
    /// When that could not be found out.
    fn check(&self, name: &str, password: &Secret) -> Result<Option<Account>, CheckFailed>;
}

/// Why somebody was not recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotProven {
    /// There is no such user, or that is not their password.
    Wrong,
    /// Too many wrong passwords of this user; seconds until the next is looked at.
    TooManyTries(u64),
    /// The password was not looked at: too many others wait to be, or it would have waited too long.
    Busy,
    /// The password was not looked at, or not to the end.
    Unknown(String),
}

/// A session as its holder sees it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose it is.
    pub person: Arc<Person>,
    /// When it ends unless it is used.
    pub remaining: Duration,
}

/// The turn of some users, and the places of those who have it or wait for it.
struct Turn {
    turn: tokio::sync::Mutex<()>,
    places: Arc<Semaphore>,
}

impl Default for Turn {
    fn default() -> Self {
        Self { turn: tokio::sync::Mutex::default(), places: Arc::new(Semaphore::new(PLACES)) }
    }
}

/// Recognises people by password and by session.
pub struct Access {
    check: Arc<dyn PasswordCheck>,
    admin_groups: Vec<String>,
    permits: Arc<Semaphore>,
    turns: Vec<Turn>,
    spread: RandomState,
    random: SystemRandom,
    key: hmac::Key,
    sessions: Mutex<Sessions>,
    proven: Mutex<Proven>,
    tries: Mutex<Tries>,
}

impl Access {
    /// Recognises those whom `check` knows; root and the members of `admin_groups` are administrators.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(check: Arc<dyn PasswordCheck>, admin_groups: Vec<String>) -> Result<Arc<Self>, CheckFailed> {
        let random = SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| no_random())?;
        Ok(Arc::new(Self {
            check,
            admin_groups,
            permits: Arc::new(Semaphore::new(CHECKS_AT_ONCE)),
            turns: (0..TURNS).map(|_| Turn::default()).collect(),
            spread: RandomState::new(),
            random,
            key,
            sessions: Mutex::default(),
            proven: Mutex::default(),
            tries: Mutex::default(),
        }))
    }

    /// Who has this name and this password. What was right seconds ago is not checked again.
    ///
    /// # Errors
    /// See [`NotProven`].
    pub async fn prove(self: &Arc<Self>, name: &str, password: Secret) -> Result<Arc<Person>, NotProven> {
        if name.is_empty()
            || name.len() > LONGEST_BYTES
            || password.reveal().len() > LONGEST_BYTES
            || name.contains(char::is_control)
            || password.reveal().contains('\0')
        {
            return Err(NotProven::Wrong);
        }
        let digest = self.digest(&[name.as_bytes(), password.reveal().as_bytes()]);
        if let Some(person) = held(&self.proven).find(&digest, Instant::now()) {
            return Ok(person);
        }
        let Ok(place) = self.turn_of(name).places.clone().try_acquire_owned() else {
            return Err(busy(name));
        };
        // To the end, also when the client hangs up: a wrong password counts.
        let (this, name) = (Arc::clone(self), name.to_owned());
        let proof = tokio::spawn(async move {
            let _place = place;
            this.prove_in_turn(name, password, digest).await
        });
        match proof.await {
            Ok(proof) => proof,
            Err(error) => Err(NotProven::Unknown(format!("the check of a password fell: {error}"))),
        }
    }

    fn turn_of(&self, name: &str) -> &Turn {
        let mut hasher = self.spread.build_hasher();
        hasher.write(name.as_bytes());
        let turn = usize::try_from(hasher.finish() % TURNS as u64).unwrap_or_default();
        &self.turns[turn]
    }

    async fn prove_in_turn(
        &self,
        name: String,
        password: Secret,
        digest: Digest,
    ) -> Result<Arc<Person>, NotProven> {
        let turn = tokio::time::timeout(TURN_LIMIT, self.turn_of(&name).turn.lock());
        let _turn = turn.await.map_err(|_| busy(&name))?;
        // Whoever had the turn before may have proven the same.
        if let Some(person) = held(&self.proven).find(&digest, Instant::now()) {
            return Ok(person);
        }
        if let Some(wait_s) = held(&self.tries).wait_s(&name, Instant::now()) {
            return Err(NotProven::TooManyTries(wait_s));
        }
        match self.checked(name.clone(), password).await.map_err(|error| NotProven::Unknown(error.0))? {
            Some(account) => {
                held(&self.tries).succeeded(&name);
                let person = Arc::new(Person::new(account, &self.admin_groups));
                held(&self.proven).keep(digest, Arc::clone(&person), Instant::now());
                Ok(person)
            }
            None => {
                tracing::warn!(user = %crate::http::problem::shortened(&name), "a login was refused");
                match held(&self.tries).failed(&name, Instant::now()) {
                    Some(wait_s) => Err(NotProven::TooManyTries(wait_s)),
                    None => Err(NotProven::Wrong),
                }
            }
        }
    }

    /// Asks on a thread of its own. One that does not answer keeps its permit until it does.
    async fn checked(&self, name: String, password: Secret) -> Result<Option<Account>, CheckFailed> {
        let check = Arc::clone(&self.check);
        let permits = Arc::clone(&self.permits);
        let work = async move {
            let permit = permits.acquire_owned().await.map_err(|error| CheckFailed(error.to_string()))?;
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                check.check(&name, &password)
            });
            work.await.unwrap_or_else(|error| Err(CheckFailed(error.to_string())))
        };
        let found = match tokio::time::timeout(CHECK_TIMEOUT, work).await {
            Ok(found) => found,
            Err(_) => Err(CheckFailed(format!("it took longer than {} s", CHECK_TIMEOUT.as_secs()))),
        };
        found.inspect_err(|error| tracing::error!(%error, "a password was not checked"))
    }

    /// Begins a session; the answer is what its holder shows.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn open_session(&self, person: Arc<Person>) -> Result<String, CheckFailed> {
        let mut token = [0_u8; 32];
        self.random.fill(&mut token).map_err(|_| no_random())?;
        let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        held(&self.sessions).open(self.digest(&[token.as_bytes()]), person, Instant::now());
        Ok(token)
    }

    /// The session that this token is shown for. Being asked for makes it last, unless nobody looks (`idle`).
    #[must_use]
    pub fn session(&self, token: &str, idle: bool) -> Option<Session> {
        held(&self.sessions).find(&self.digest(&[token.as_bytes()]), idle, Instant::now())
    }

    /// Ends a session.
    pub fn close_session(&self, token: &str) {
        held(&self.sessions).close(&self.digest(&[token.as_bytes()]));
    }

    fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            // With its length, so that no two rows of parts are one and the same text.
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

fn busy(name: &str) -> NotProven {
    let user = crate::http::problem::shortened(name);
    tracing::warn!(user, "a password was not checked: too many others are, or wait to be");
    NotProven::Busy
}

fn no_random() -> CheckFailed {
    CheckFailed("the system gives no random numbers".to_owned())
}

/// No holder of these locks can fall half-way.
fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Knows joe, and counts how often it is asked.
    #[derive(Default)]
    struct Joe(AtomicUsize);

    impl PasswordCheck for Joe {
        fn check(&self, name: &str, password: &Secret) -> Result<Option<Account>, CheckFailed> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if name == "broken" {
                return Err(CheckFailed("no answer".to_owned()));
            }
            let right = name == "joe" && password.reveal() == "right";
            Ok(right.then(|| Account { name: name.to_owned(), uid: 1000, groups: vec!["joe".to_owned()] }))
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_right_password_is_checked_once_in_a_while_and_a_wrong_one_each_time() {
        let joe = Arc::new(Joe::default());
        let access = Access::new(joe.clone(), vec!["sudo".to_owned()]).unwrap();
        let many = (0..8).map(|_| access.prove("joe", secret("right")));
        for proof in futures_util::future::join_all(many).await {
            assert_eq!(proof.unwrap().role, Role::User);
        }
        assert_eq!(joe.0.load(Ordering::Relaxed), 1, "also of many at once only the first is checked");
        for (name, password) in [("joe", "wrong"), ("eve", "right")] {
            assert_eq!(access.prove(name, secret(password)).await.unwrap_err(), NotProven::Wrong);
        }
        assert_eq!(joe.0.load(Ordering::Relaxed), 3);
        assert!(matches!(access.prove("broken", secret("x")).await, Err(NotProven::Unknown(_))));
        for (name, password) in
            [("", "right"), ("joe\n", "right"), (&*"x".repeat(300), "right"), ("joe", "a\0")]
        {
            assert_eq!(access.prove(name, secret(password)).await.unwrap_err(), NotProven::Wrong);
        }
        assert_eq!(joe.0.load(Ordering::Relaxed), 4, "what can be nobody's is not even asked for");
    }

    /// Answers when it is let.
    struct Slow(Mutex<std::sync::mpsc::Receiver<()>>);

    impl PasswordCheck for Slow {
        fn check(&self, name: &str, _: &Secret) -> Result<Option<Account>, CheckFailed> {
            // An error says that all are let.
            let _ = held(&self.0).recv();
            Ok(Some(Account { name: name.to_owned(), uid: 1000, groups: Vec::new() }))
        }
    }

    #[tokio::test]
    async fn no_more_wait_than_there_are_places() {
        let (let_all, slow) = std::sync::mpsc::channel();
        let access = Access::new(Arc::new(Slow(Mutex::new(slow))), Vec::new()).unwrap();
        let mut waiting: Vec<_> =
            (0..PLACES).map(|_| Box::pin(access.prove("joe", secret("right")))).collect();
        for proof in &mut waiting {
            assert!(futures_util::poll!(proof).is_pending());
        }
        let refused = access.prove("joe", secret("right")).await;
        assert_eq!(refused.map(drop), Err(NotProven::Busy));
        drop(let_all);
        for proof in waiting {
            assert_eq!(proof.await.unwrap().name, "joe");
        }
        assert_eq!(access.prove("joe", secret("right")).await.unwrap().name, "joe");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_turn_for_ever() {
        let access = Access::new(Arc::new(Joe::default()), Vec::new()).unwrap();
        let turn = access.turn_of("joe").turn.lock().await;
        let refused = access.prove("joe", secret("right")).await;
        assert_eq!(refused.map(drop), Err(NotProven::Busy));
        drop(turn);
        assert!(access.prove("joe", secret("right")).await.is_ok(), "the place is free again");
    }

    #[tokio::test]
    async fn after_three_wrong_passwords_none_is_looked_at_for_a_while() {
        let joe = Arc::new(Joe::default());
        let access = Access::new(joe.clone(), Vec::new()).unwrap();
        let session = access.open_session(access.prove("joe", secret("right")).await.unwrap()).unwrap();
        for _ in 0..2 {
            assert_eq!(access.prove("joe", secret("wrong")).await.unwrap_err(), NotProven::Wrong);
        }
        for password in ["wrong", "wrong", "other"] {
            let refused = access.prove("joe", secret(password)).await.unwrap_err();
            assert!(matches!(refused, NotProven::TooManyTries(1..=30)), "{refused:?}");
        }
        assert_eq!(joe.0.load(Ordering::Relaxed), 4);
        assert_eq!(
            access.prove("eve", secret("wrong")).await.unwrap_err(),
            NotProven::Wrong,
            "others are not kept waiting"
        );
        assert!(access.session(&session, false).is_some(), "nor is who is in already");
    }

    #[tokio::test]
    async fn a_session_is_found_by_its_token_alone() {
        let access = Access::new(Arc::new(Joe::default()), Vec::new()).unwrap();
        let person = access.prove("joe", secret("right")).await.unwrap();
        let (one, other) =
            (access.open_session(person.clone()).unwrap(), access.open_session(person).unwrap());
        assert!(one.len() == 64 && one != other);
        assert_eq!(access.session(&one, false).unwrap().person.name, "joe");
        assert!(access.session(&one[1..], false).is_none() && access.session("", false).is_none());
        access.close_session(&one);
        assert!(access.session(&one, false).is_none());
        assert!(access.session(&other, false).is_some());
    }
}
