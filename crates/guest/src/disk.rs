//! The disk that is written and read back, past the guest's own page cache.
//!
//! Block `position` holds a header (magic, boot id, sequence number, position, checksum) and pattern words. Writes
//! go round and round, so the sequence number that any position must hold is known without a table.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::thread;
use std::time::Duration;

use crate::pattern::{self, PAGE_BYTES, PAGE_WORDS, Words};
use crate::platform;
use crate::report::Report;
use crate::settings::DiskPlan;

const MAGIC: u64 = 0x6665_7272_795f_626b;
const HEADER_WORDS: usize = 5;
const O_DIRECT: i32 = 0o40000;
const APPEARS_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A block in memory, aligned as O_DIRECT wants it.
#[repr(C, align(4096))]
struct Buffer([u8; PAGE_BYTES]);

/// What a block says about itself.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    boot_id: u64,
    sequence: u64,
    position: u64,
}

/// Writes and reads back for ever; gives up (loudly) only when the device never appears.
pub(crate) fn run(report: &Report, plan: &DiskPlan) {
    platform::lower_priority();
    let device = match open(plan) {
        Ok(device) => device,
        Err(error) => return report.error(&format!("disk {} cannot be opened: {error}", plan.device)),
    };
    let blocks = match usable_blocks(&device, plan) {
        Ok(0) => return report.error(&format!("disk {} is empty", plan.device)),
        Ok(blocks) => blocks,
        Err(error) => return report.error(&format!("disk {} has no size: {error}", plan.device)),
    };
    let mut disk =
        Disk { device, blocks, boot_id: report.boot_id(), buffer: Box::new(Buffer([0; PAGE_BYTES])) };
    disk.tell_what_was_left(report);
    let pause = Duration::from_secs(1) * (PAGE_BYTES as u32 / 1024) / (plan.write_kib_s.max(1) as u32);
    for sequence in 0.. {
        disk.cycle(report, sequence);
        thread::sleep(pause);
    }
}

fn open(plan: &DiskPlan) -> io::Result<File> {
    let mut waited = Duration::ZERO;
    loop {
        match OpenOptions::new().read(true).write(true).custom_flags(O_DIRECT).open(&plan.device) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && waited < APPEARS_WITHIN => {
                thread::sleep(LOOK_AGAIN);
                waited += LOOK_AGAIN;
            }
            result => return result,
        }
    }
}

fn usable_blocks(device: &File, plan: &DiskPlan) -> io::Result<u64> {
    let mut device = device;
    let size_bytes = device.seek(SeekFrom::End(0))?;
    Ok(size_bytes.min(plan.span_mib << 20) / PAGE_BYTES as u64)
}

struct Disk {
    device: File,
    blocks: u64,
    boot_id: u64,
    buffer: Box<Buffer>,
}

impl Disk {
    /// Counts the blocks of an earlier boot, sound and damaged ones: a disk that was moved cold shows here.
    fn tell_what_was_left(&mut self, report: &Report) {
        let (mut sound, mut damaged, mut last_sequence) = (0_u64, 0_u64, 0_u64);
        for position in 0..self.blocks {
            match self.read(position) {
                Ok(None) if sound + damaged == 0 => break,
                Ok(None) => {}
                Ok(Some(Ok(header))) => {
                    sound += 1;
                    last_sequence = last_sequence.max(header.sequence);
                }
                Ok(Some(Err(_))) | Err(_) => damaged += 1,
            }
        }
        report.line(&format!("S disk found={sound} damaged={damaged} last_sequence={last_sequence}"));
    }

    /// One write at the next place, one check of another place.
    fn cycle(&mut self, report: &Report, sequence: u64) {
        let position = sequence % self.blocks;
        encode(&mut self.buffer.0, &Header { boot_id: self.boot_id, sequence, position });
        if let Err(error) = self.device.write_all_at(&self.buffer.0, position * PAGE_BYTES as u64) {
            return report.error(&format!("disk write position={position} sequence={sequence}: {error}"));
        }
        report.block_written();
        let written = (sequence + 1).min(self.blocks);
        let place = Words::new(self.boot_id, sequence, 0).next().unwrap_or(0) % written;
        self.check(report, place, newest_sequence(sequence, self.blocks, place));
    }

    fn check(&mut self, report: &Report, position: u64, sequence: u64) {
        let want = Header { boot_id: self.boot_id, sequence, position };
        match self.read(position) {
            Err(error) => report.error(&format!("disk read position={position}: {error}")),
            Ok(None) => report.error(&format!("disk position={position} is blank, want sequence={sequence}")),
            Ok(Some(Err(text))) => report.error(&format!("disk position={position} {text}")),
            Ok(Some(Ok(got))) if got != want => report.error(&format!("disk want {want:?} got {got:?}")),
            Ok(Some(Ok(_))) => {}
        }
    }

    /// Reads a block: `None` when it was never written, the inner error when its content is damaged.
    fn read(&mut self, position: u64) -> io::Result<Option<Result<Header, String>>> {
        self.device.read_exact_at(&mut self.buffer.0, position * PAGE_BYTES as u64)?;
        Ok(decode(&self.buffer.0))
    }
}

/// The sequence number that `position` must hold after the write number `sequence`.
fn newest_sequence(sequence: u64, blocks: u64, position: u64) -> u64 {
    let candidate = sequence - sequence % blocks + position;
    if candidate > sequence { candidate - blocks } else { candidate }
}

fn encode(bytes: &mut [u8; PAGE_BYTES], header: &Header) {
    let mut words = [0_u64; PAGE_WORDS];
    pattern::fill(&mut words, Words::new(header.boot_id, header.position, header.sequence));
    words[..4].copy_from_slice(&[MAGIC, header.boot_id, header.sequence, header.position]);
    words[4] = checksum(&words);
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
}

fn decode(bytes: &[u8; PAGE_BYTES]) -> Option<Result<Header, String>> {
    let mut words = [0_u64; PAGE_WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes([
            chunk[0], chunk[1], chunk[2], chunk[3], chunk[4], chunk[5], chunk[6], chunk[7],
        ]);
    }
    if words.iter().all(|word| *word == 0) {
        return None;
    }
    if words[0] != MAGIC {
        return Some(Err(format!("has no header but {:016x}", words[0])));
    }
    let header = Header { boot_id: words[1], sequence: words[2], position: words[3] };
    match checksum(&words) == words[4] {
        true => Some(Ok(header)),
        false => Some(Err(format!("has a wrong checksum, its header says {header:?}"))),
    }
}

/// FNV over all words but the one that holds the checksum.
fn checksum(words: &[u64; PAGE_WORDS]) -> u64 {
    let covered = words[..HEADER_WORDS - 1].iter().chain(&words[HEADER_WORDS..]);
    covered.fold(0xcbf2_9ce4_8422_2325, |sum, word| (sum ^ word).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_as_it_was_written_and_damage_shows() {
        let mut bytes = [0_u8; PAGE_BYTES];
        assert_eq!(decode(&bytes), None);
        encode(&mut bytes, &Header { boot_id: 9, sequence: 70, position: 6 });
        assert_eq!(decode(&bytes), Some(Ok(Header { boot_id: 9, sequence: 70, position: 6 })));
        bytes[4000] ^= 1;
        assert!(matches!(decode(&bytes), Some(Err(_))));
    }

    #[test]
    fn the_newest_sequence_of_a_position_needs_no_table() {
        // Four blocks after write number 9: positions 0..4 were last written by 8, 9, 6, 7.
        let newest: Vec<u64> = (0..4).map(|position| newest_sequence(9, 4, position)).collect();
        assert_eq!(newest, [8, 9, 6, 7]);
    }
}
