//! Files of a host's, through libvirt's storage pools: looked at, made, carried, removed.
//!
//! Where no active pool lies over a directory, one is made for the while (a transient one, which libvirt forgets when it ends), named
//! by the task it is for: by that it is found again and taken away, whoever takes the task over.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use virt::connect::Connect;
use virt::storage_pool::StoragePool;
use virt::storage_vol::StorageVol;
use virt_sys as sys;

use super::error::{
    HostError, INVALID_ARGUMENT, LibvirtError, NO_VOLUME, OPERATION_ABORTED, OPERATION_FAILED,
    OPERATION_INVALID, VOLUME_EXISTS, XML_ERROR,
};
use super::ffi::streams::{self, Received};
use super::host::LibvirtHost;
use super::room::Room;
use super::xml;
use crate::hypervisor::{Digest, FileSight, NewFile, Piece, Result, Span};
use crate::model::facts::kept::TPM_STATES;
use crate::model::{TaskId, Tenure};
use crate::ssh::scripts;

/// How much is taken out of a stream at once.
const AT_ONCE: usize = 1 << 20;
/// How long a storage pool may take to be looked through.
const POOL_LIMIT: Duration = Duration::from_secs(30);
/// How long a part of a file may take to be read on its host.
const DIGEST_LIMIT: Duration = Duration::from_secs(600);

/// What QEMU (7.2 at least) says now and then when it makes an encrypted image: it could not measure how fast it derives a key. The next try
/// can.
const MISJUDGED: &str = "accurate CPU usage";
/// How often that is put down to chance.
const MISJUDGED_AT_MOST: u32 = 10;

type Told<T> = std::result::Result<T, LibvirtError>;

/// The directory and the name of a file.
fn parts(path: &str) -> Told<(&str, &str)> {
    path.rsplit_once('/')
        .filter(|(_, name)| !name.is_empty())
        .map(|(directory, name)| (if directory.is_empty() { "/" } else { directory }, name))
        .ok_or_else(|| LibvirtError::of(INVALID_ARGUMENT, format!("{path} is not the path of a file")))
}

fn prefix(task: TaskId) -> String {
    format!("ferry-{}-", task.0.simple())
}

/// The active pool over a directory; none where there is none.
///
/// # Errors
/// What libvirt says of one that is there.
pub(super) fn active_pool_over(connect: &Connect, directory: &str) -> Told<Option<StoragePool>> {
    let Ok(pool) = connect.lookup_storage_pool_by_target_path(directory) else { return Ok(None) };
    Ok(pool.is_active()?.then_some(pool))
}

/// The active pool over a directory, or one that is made for the while; `build`: with the directory, where it is missing.
///
/// # Errors
/// What libvirt says.
pub(super) fn pool_over(connect: &Connect, task: TaskId, directory: &str, build: bool) -> Told<StoragePool> {
    if let Some(pool) = active_pool_over(connect, directory)? {
        return Ok(pool);
    }
    // FNV-1a: two directories of one task need two names.
    let hash = directory.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let xml = format!(
        "<pool type='dir'><name>{}{hash:016x}</name><target><path>{}</path></target></pool>",
        prefix(task),
        xml::escaped(directory)
    );
    let flags = if build { sys::VIR_STORAGE_POOL_CREATE_WITH_BUILD } else { 0 };
    connect.create_storage_pool_xml(&xml, flags).map_err(|error| {
        // The system's number is libvirt's last one, which the next call makes another.
        let error = LibvirtError::from(error);
        // libvirt says that it conflicts with "the pool", and not what to do.
        if error.code == OPERATION_FAILED {
            idle_pool_over(connect, directory).unwrap_or(error)
        } else {
            error
        }
    })
}

/// What there is to say where a pool is defined over a directory that is not active: there can be no other one.
fn idle_pool_over(connect: &Connect, directory: &str) -> Option<LibvirtError> {
    // libvirt compares pools of one kind.
    let is_over = |pool: &StoragePool| {
        let known = pool.xml_desc(0).ok().and_then(|text| xml::pool(&text).ok());
        known.is_some_and(|known| known.kind == "dir" && known.target.as_deref() == Some(directory))
    };
    let idle = connect.list_all_storage_pools(sys::VIR_CONNECT_LIST_STORAGE_POOLS_INACTIVE).ok()?;
    let name = idle.iter().find(|pool| is_over(pool))?.name().ok()?;
    let message =
        format!("the storage pool {name} over {directory} is not active: start it (virsh pool-start)");
    Some(LibvirtError::of(OPERATION_INVALID, message))
}

/// The volume of a path; none where there is nothing.
pub(super) fn volume(connect: &Connect, task: TaskId, path: &str) -> Told<Option<(StoragePool, StorageVol)>> {
    let (directory, name) = parts(path)?;
    let pool = match pool_over(connect, task, directory, false) {
        Ok(pool) => pool,
        Err(error) if error.is_no_file() => return Ok(None),
        Err(error) => return Err(error),
    };
    let look = |pool: &StoragePool| pool.lookup_storage_vol_by_name(name).map_err(LibvirtError::from);
    let found = look(&pool).or_else(|_| {
        // What came since the pool was last looked through.
        pool.refresh(0)?;
        look(&pool)
    });
    match found {
        Ok(volume) => Ok(Some((pool, volume))),
        Err(error) if error.code == NO_VOLUME => Ok(None),
        Err(error) => Err(error),
    }
}

fn volume_there(connect: &Connect, task: TaskId, path: &str) -> Told<(StoragePool, StorageVol)> {
    volume(connect, task, path)?.ok_or_else(|| LibvirtError::of(NO_VOLUME, format!("{path} is not there")))
}

pub(super) fn sight(connect: &Connect, task: TaskId, path: &str) -> Told<Option<FileSight>> {
    let Some((pool, volume)) = volume(connect, task, path)? else { return Ok(None) };
    match volume.xml_desc(0).map_err(LibvirtError::from) {
        Ok(text) => {
            xml::file(&text).map(Some).map_err(|error| LibvirtError::of(XML_ERROR, error.to_string()))
        }
        // The pool knows a file that has gone since: it learns that when it is looked through.
        Err(error) => {
            pool.refresh(0)?;
            if pool.lookup_storage_vol_by_name(parts(path)?.1).is_err() { Ok(None) } else { Err(error) }
        }
    }
}

pub(super) fn make(connect: &Connect, task: TaskId, file: &NewFile) -> Told<()> {
    let (directory, name) = parts(&file.path)?;
    let pool = pool_over(connect, task, directory, true)?;
    pool.refresh(0)?;
    if pool.lookup_storage_vol_by_name(name).is_ok() {
        return Err(LibvirtError::of(VOLUME_EXISTS, format!("{} is there already", file.path)));
    }
    let create = || StorageVol::create_xml(&pool, &xml::new_file(name, file), 0).map(drop);
    for _ in 0..MISJUDGED_AT_MOST {
        match create().map_err(LibvirtError::from) {
            // libvirt has removed again what it began.
            Err(error) if error.message.contains(MISJUDGED) => {}
            made => return made,
        }
    }
    Ok(create()?)
}

pub(super) fn remove(connect: &Connect, task: TaskId, path: &str) -> Told<()> {
    match volume(connect, task, path)? {
        Some((_, volume)) => match volume.delete(0).map_err(LibvirtError::from) {
            Err(error) if error.code == NO_VOLUME => Ok(()),
            other => other,
        },
        None => Ok(()),
    }
}

pub(super) fn read(
    connect: &Connect,
    task: TaskId,
    path: &str,
    span: Span,
    sink: &mpsc::Sender<Piece>,
) -> Told<()> {
    let (_pool, volume) = volume_there(connect, task, path)?;
    let stream = streams::download(connect, &volume, span.offset, span.length)?;
    let mut buffer = vec![0; AT_ONCE];
    let mut left = span.length;
    loop {
        let piece = match streams::receive(&stream, &mut buffer)? {
            // A device has no holes, and may be empty all the same.
            Received::Data(count) if is_zero(&buffer[..count]) => Piece::Hole(count as u64),
            Received::Data(count) => Piece::Data(buffer[..count].to_vec()),
            // Holes are told to the end of the file, whatever was asked for.
            Received::Hole(length) => Piece::Hole(length.min(left)),
            Received::End => break,
        };
        left = left.saturating_sub(piece.length());
        if piece.length() > 0 && sink.blocking_send(piece).is_err() {
            stream.abort()?;
            return Err(LibvirtError::of(OPERATION_ABORTED, "nobody takes it any more"));
        }
    }
    stream.finish()?;
    Ok(())
}

/// Whether there is nothing but zeros.
fn is_zero(bytes: &[u8]) -> bool {
    static ZEROS: [u8; 1 << 12] = [0; 1 << 12];
    bytes.chunks(ZEROS.len()).all(|part| part == &ZEROS[..part.len()])
}

fn write(
    connect: &Connect,
    task: TaskId,
    path: &str,
    span: Span,
    (mut pieces, mut tenure, mut room): (mpsc::Receiver<Piece>, Tenure, Room),
) -> Told<()> {
    let (pool, volume) = volume_there(connect, task, path)?;
    let stream = streams::upload(connect, &volume, span.offset, span.length)?;
    let (mut written, runtime) = (0, tokio::runtime::Handle::current());
    while let Some(piece) = pieces.blocking_recv() {
        if !runtime.block_on(tenure.is_sure()) {
            stream.abort()?;
            return Err(LibvirtError::of(OPERATION_ABORTED, "the task is another controller's by now"));
        }
        match &piece {
            Piece::Data(bytes) => {
                if let Err(full) = room.take(bytes.len() as u64, span.length - written, &pool, &volume) {
                    stream.abort()?;
                    return Err(full);
                }
                streams::send(&stream, bytes)?;
            }
            Piece::Hole(length) => streams::send_hole(&stream, *length)?,
        }
        written += piece.length();
    }
    if written < span.length {
        // Who reads it broke off: what is missing must not look like an end.
        stream.abort()?;
        let message = format!("only {written} of {} bytes came", span.length);
        return Err(LibvirtError::of(OPERATION_ABORTED, message));
    }
    stream.finish()?;
    Ok(())
}

impl Piece {
    /// How many bytes it stands for.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Data(bytes) => bytes.len() as u64,
            Self::Hole(length) => *length,
        }
    }

    /// Adds it to a sum.
    pub fn count_into(&self, sum: &mut Sha256) {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        match self {
            Self::Data(bytes) => sum.update(bytes),
            Self::Hole(length) => {
                let mut left = *length;
                while left > 0 {
                    let part = left.min(ZEROS.len() as u64);
                    sum.update(&ZEROS[..usize::try_from(part).unwrap_or(ZEROS.len())]);
                    left -= part;
                }
            }
        }
    }
}

/// Takes away the pools that were made for a task's while; the directories that they lay over.
pub(super) fn end_pools(connect: &Connect, task: TaskId) -> Told<Vec<String>> {
    let prefix = prefix(task);
    let mut directories = Vec::new();
    for pool in connect.list_all_storage_pools(0)? {
        if pool.name()?.starts_with(&prefix) {
            let target = pool.xml_desc(0).ok().and_then(|text| xml::pool(&text).ok()?.target);
            pool.destroy()?;
            directories.extend(target);
        }
    }
    Ok(directories)
}

impl LibvirtHost {
    pub(super) async fn on_files<T: Send + 'static>(
        &self,
        call: &'static str,
        work: impl FnOnce(&Connect) -> Told<T> + Send + 'static,
    ) -> Result<T> {
        // Not on the connection for short calls: a pool may take long to be looked through.
        self.link().long_call_within(call, POOL_LIMIT, work).await
    }

    pub(super) async fn write_pieces(
        &self,
        task: TaskId,
        path: &str,
        span: Span,
        (pieces, tenure): (mpsc::Receiver<Piece>, Tenure),
    ) -> Result<()> {
        let room = Room::of(self.session().cloned(), path, self.link().limits().call);
        let path = path.to_owned();
        let write = move |connect: &Connect| write(connect, task, &path, span, (pieces, tenure, room));
        self.link().long_call("write a file", write).await
    }

    pub(super) async fn sum_of(&self, task: TaskId, path: &str, span: Span) -> Result<Digest> {
        let Some(session) = self.session() else { return self.sum_read_back(task, path, span).await };
        let lost = |error: &dyn std::fmt::Display| self.lost_shell(error);
        // Beside the shell for quick questions, which would wait for it.
        let script = scripts::sum_of(path, span.offset, span.length);
        let mut lines = session.follow(&script, POOL_LIMIT).await.map_err(|error| lost(&error))?;
        let line = lines.next(DIGEST_LIMIT).await.map_err(|error| lost(&error))?;
        let sum = line.as_deref().and_then(scripts::parse_sum);
        if let Ok(None) = lines.next(POOL_LIMIT).await {
            session.keep(lines).await;
        }
        let said = line.unwrap_or_else(|| "nothing".to_owned());
        sum.ok_or_else(|| HostError::Shell {
            host: self.link().host().to_owned(),
            what: format!("reading {path}, it said: {said}"),
        })
    }

    /// The shell broke off, as a connection does.
    pub(super) fn lost_shell(&self, error: &dyn std::fmt::Display) -> HostError {
        HostError::Unreachable { host: self.link().host().to_owned(), reason: format!("its shell: {error}") }
    }

    /// Removes directories of a TPM's state that nothing is in: libvirt makes them for each domain, and so has whoever carried a state
    /// that did not stay.
    pub(super) async fn remove_empty_tpm_directories(&self, directories: &[String]) -> Result<()> {
        let of_tpm = |path: &&String| path.starts_with(&format!("{TPM_STATES}/"));
        let mut words: Vec<String> = directories.iter().filter(of_tpm).cloned().collect();
        // That of the kind of TPM lies in that of the domain.
        let above = words.iter().filter_map(|path| Some(path.rsplit_once('/')?.0.to_owned()));
        words.extend(above.filter(|path| path != TPM_STATES).collect::<Vec<_>>());
        let Some(session) = self.session().filter(|_| !words.is_empty()) else { return Ok(()) };
        match session.run(&scripts::remove_empty(&words), self.link().limits().call).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.shell_error("removing empty directories", error)),
        }
    }

    /// Inode and time of birth of a file; none where there is no shell.
    pub(super) async fn node_of(&self, path: &str) -> Result<Option<(u64, u64)>> {
        let Some(session) = self.session() else { return Ok(None) };
        let what = format!("looking at {path}");
        match session.run(&scripts::node_of(path), self.link().limits().call).await {
            Ok(output) => match scripts::parse_node(&output.stdout) {
                Some(node) => Ok(Some(node)),
                None => Err(self.shell_error(&what, output.stdout.trim())),
            },
            Err(error) => Err(self.shell_error(&what, error)),
        }
    }

    /// Where there is no shell: what is there comes back to be looked at.
    async fn sum_read_back(&self, task: TaskId, path: &str, span: Span) -> Result<Digest> {
        let (sink, mut pieces) = mpsc::channel(4);
        let owned = path.to_owned();
        let reading =
            self.link().long_call("read a file", move |connect| read(connect, task, &owned, span, &sink));
        let summed = async {
            let mut sum = Sha256::new();
            while let Some(piece) = pieces.recv().await {
                Piece::count_into(&piece, &mut sum);
            }
            sum
        };
        let both = async { tokio::join!(reading, summed) };
        let late = |_| HostError::timed_out(self.link().host(), "read a file", DIGEST_LIMIT);
        let (read, sum) = tokio::time::timeout(DIGEST_LIMIT, both).await.map_err(late)?;
        read?;
        Ok(sum.finalize().into())
    }
}
