//! libvirt's streams, with their holes: what the `virt` crate does not wrap.

use std::ffi::c_char;

use virt::connect::Connect;
use virt::storage_vol::StorageVol;
use virt::stream::Stream;
use virt_sys as sys;

use super::{Result, check, last_error};

/// What comes out of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// So many bytes were put into the buffer.
    Data(usize),
    /// A hole of so many bytes.
    Hole(u64),
    /// Nothing more comes.
    End,
}

/// Begins to read a part of a volume (`virStorageVolDownload`), its holes as holes. `length` 0 is to its end.
///
/// # Errors
/// What libvirt says.
pub fn download(connect: &Connect, volume: &StorageVol, offset: u64, length: u64) -> Result<Stream> {
    let stream = Stream::new(connect, 0)?;
    volume.download(&stream, offset, length, sys::VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM)?;
    Ok(stream)
}

/// Begins to write a part of a volume (`virStorageVolUpload`).
///
/// # Errors
/// What libvirt says.
pub fn upload(connect: &Connect, volume: &StorageVol, offset: u64, length: u64) -> Result<Stream> {
    let stream = Stream::new(connect, 0)?;
    volume.upload(&stream, offset, length, sys::VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)?;
    Ok(stream)
}

/// Waits for the next of a stream (`virStreamRecvFlags`).
///
/// # Errors
/// What libvirt says: the stream is of no use then.
pub fn receive(stream: &Stream, buffer: &mut [u8]) -> Result<Received> {
    // SAFETY: the stream is alive while it is borrowed; the buffer has the length that is said.
    let got = unsafe {
        sys::virStreamRecvFlags(
            stream.as_ptr(),
            buffer.as_mut_ptr().cast::<c_char>(),
            buffer.len(),
            sys::VIR_STREAM_RECV_STOP_AT_HOLE,
        )
    };
    match got {
        0 => Ok(Received::End),
        // -3: a hole comes next.
        -3 => {
            let mut length = 0i64;
            // SAFETY: as above; the pointer is to a local.
            check(unsafe { sys::virStreamRecvHole(stream.as_ptr(), &raw mut length, 0) })?;
            Ok(Received::Hole(u64::try_from(length).unwrap_or(0)))
        }
        got => usize::try_from(got).map(Received::Data).map_err(|_| last_error()),
    }
}

/// Sends all of these bytes (`virStreamSend`).
///
/// # Errors
/// What libvirt says: the stream is of no use then.
pub fn send(stream: &Stream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let sent = stream.send(bytes)?;
        bytes = bytes.get(usize::try_from(sent).unwrap_or(0)..).unwrap_or_default();
    }
    Ok(())
}

/// Leaves a hole (`virStreamSendHole`).
///
/// # Errors
/// What libvirt says: the stream is of no use then.
pub fn send_hole(stream: &Stream, length: u64) -> Result<()> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    // SAFETY: the stream is alive while it is borrowed.
    check(unsafe { sys::virStreamSendHole(stream.as_ptr(), length, 0) }).map(drop)
}
