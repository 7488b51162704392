//! Reads the kernel's ring buffer through a small window.
//!
//! The buffer is large enough for bursts, and the kernel keeps all of it in memory. Mapped whole,
//! and twice in a row as is usual, it would count twice as this program's memory. So only the part
//! being read is mapped, and the window moves with the reader.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;

/// Minimum size of the window.
const WINDOW: usize = 256 << 10;
/// Each record is preceded by its length and, for the kernel, its page.
const HEADER: usize = 8;
/// Bit in the length: the record is incomplete and must not be read.
const BUSY: u32 = 1 << 31;
const DISCARD: u32 = 1 << 30;

/// The consumer's end of a ring buffer.
pub(super) struct Ring {
    buffer: OwnedFd,
    /// Bytes of data, a power of two.
    size: usize,
    /// The consumer's position, read by the kernel.
    consumer: Mapping,
    /// The producer's position.
    producer: Mapping,
    /// The mapped part of the data, and its offset.
    window: Option<(usize, Mapping)>,
    position: usize,
}

impl Ring {
    /// The ring of this map, whose data have `size` bytes, a power of two and whole pages.
    pub(super) fn new(buffer: OwnedFd, size: usize) -> io::Result<Self> {
        let page = page_size();
        if !size.is_power_of_two() || size < page {
            return Err(io::Error::other("a ring buffer of an impossible size"));
        }
        let write = ProtFlags::READ | ProtFlags::WRITE;
        let consumer = Mapping::new(buffer.as_fd(), write, 0, page)?;
        let producer = Mapping::new(buffer.as_fd(), ProtFlags::READ, page, page)?;
        let position = consumer.number().load(Ordering::Acquire);
        Ok(Self {
            buffer,
            size,
            consumer,
            producer,
            window: None,
            position,
        })
    }

    /// Passes the records that are complete now to `sink`, and frees the space of each for the
    /// kernel. Records written meanwhile stay for the next call: otherwise a storm would never end.
    /// Returns their number. If the window cannot be moved, the unread records stay.
    pub(super) fn drain(&mut self, mut sink: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        // With Acquire: writes before that of this number are visible.
        let end = self.producer.number().load(Ordering::Acquire);
        while self.position != end {
            let Ok(length) = self.see(HEADER).map(|view| view.length()) else {
                break;
            };
            if length & BUSY != 0 {
                break;
            }
            let bytes = usize::try_from(length & !DISCARD).unwrap_or(usize::MAX);
            if length & DISCARD == 0 {
                let Ok(record) = self.see(HEADER + bytes) else {
                    break;
                };
                sink(record.bytes().get(HEADER..).unwrap_or_default());
                count += 1;
            }
            let whole = (HEADER + bytes).next_multiple_of(HEADER);
            self.position = self.position.wrapping_add(whole);
            // After the record was read: from now on the kernel may overwrite it.
            let position = self.consumer.number();
            position.store(self.position, Ordering::Release);
        }
        count
    }

    /// The next `length` bytes; moves the window if they are outside.
    ///
    /// # Errors
    /// When it cannot be mapped.
    fn see(&mut self, length: usize) -> io::Result<View<'_>> {
        let at = self.position & (self.size - 1);
        let shows = |(begin, mapping): &(usize, Mapping)| {
            at >= *begin && at + length <= *begin + mapping.length
        };
        if !self.window.as_ref().is_some_and(shows) {
            if length > self.size {
                return Err(io::Error::other("a record larger than its ring buffer"));
            }
            let page = page_size();
            let begin = at - at % page;
            // The kernel maps the data twice in a row, so that a record is never split.
            let end = (begin + WINDOW).max((at + length).next_multiple_of(page));
            let end = end.min(2 * self.size);
            self.window = None;
            let (from, length) = (2 * page + begin, end - begin);
            let fd = self.buffer.as_fd();
            let mapping = Mapping::new(fd, ProtFlags::READ, from, length)?;
            self.window = Some((begin, mapping));
        }
        match &self.window {
            Some((begin, mapping)) => Ok(View {
                mapping,
                from: at - begin,
                length,
            }),
            None => Err(io::Error::other("no window")),
        }
    }
}

/// Bytes within a mapping that lie there whole.
struct View<'a> {
    mapping: &'a Mapping,
    from: usize,
    length: usize,
}

impl View<'_> {
    /// The length in the header it begins with.
    fn length(&self) -> u32 {
        // SAFETY: `see` made sure that the mapping holds HEADER bytes from there; records begin at
        // multiples of eight, and the kernel writes this number atomically.
        let length = unsafe { &*self.start().cast::<AtomicU32>() };
        length.load(Ordering::Acquire)
    }

    /// All of them; only once the record is written.
    fn bytes(&self) -> &[u8] {
        // SAFETY: `see` made sure that the mapping holds them. The kernel does not write to a
        // record that is not busy before its room was given back, which needs this view gone.
        unsafe { std::slice::from_raw_parts(self.start(), self.length) }
    }

    fn start(&self) -> *const u8 {
        // SAFETY: `see` made sure that it is inside the mapping.
        unsafe { self.mapping.start.as_ptr().cast::<u8>().add(self.from) }
    }
}

/// Memory shared with the kernel; unmapped when dropped.
struct Mapping {
    start: NonNull<c_void>,
    length: usize,
}

// SAFETY: the memory belongs to this value alone, from whichever thread it is used.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(fd: BorrowedFd<'_>, may: ProtFlags, from: usize, length: usize) -> io::Result<Self> {
        let from = u64::try_from(from).map_err(io::Error::other)?;
        // SAFETY: the kernel chooses the place, so nothing that is mapped is replaced.
        let start = unsafe { mmap(null_mut(), length, may, MapFlags::SHARED, fd, from) }?;
        let start = NonNull::new(start).ok_or_else(|| io::Error::other("mapped at zero"))?;
        Ok(Self { start, length })
    }

    /// The number at its begin, which both sides read and write atomically.
    fn number(&self) -> &AtomicUsize {
        // SAFETY: a mapping has a page at least, and its begin is aligned to one.
        unsafe { self.start.cast::<AtomicUsize>().as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and every reference into it borrows `self`.
        // It fails only for a range that is none.
        let _ = unsafe { munmap(self.start.as_ptr(), self.length) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    /// Plays the kernel, in a file laid out as the map is: both copies of the data are written.
    struct Kernel {
        file: File,
        size: usize,
        written: usize,
    }

    impl Kernel {
        fn new(size: usize) -> (Self, Ring) {
            let file = tempfile::tempfile().unwrap();
            let all = 2 * page_size() + 2 * size;
            file.set_len(u64::try_from(all).unwrap()).unwrap();
            let ring = Ring::new(file.try_clone().unwrap().into(), size).unwrap();
            let kernel = Self {
                file,
                size,
                written: 0,
            };
            (kernel, ring)
        }

        fn number(&self, page: usize) -> usize {
            let mut bytes = [0; size_of::<usize>()];
            let at = u64::try_from(page * page_size()).unwrap();
            self.file.read_exact_at(&mut bytes, at).unwrap();
            usize::from_ne_bytes(bytes)
        }

        fn room(&self) -> usize {
            self.size - (self.written - self.number(0))
        }

        fn put(&mut self, at: usize, bytes: &[u8]) {
            for (n, byte) in bytes.iter().enumerate() {
                let at = (at + n) & (self.size - 1);
                for copy in [at, at + self.size] {
                    let at = u64::try_from(2 * page_size() + copy).unwrap();
                    self.file.write_all_at(&[*byte], at).unwrap();
                }
            }
        }

        /// Writes a record with these bits; returns where.
        fn write(&mut self, record: &[u8], bits: u32) -> usize {
            let at = self.written;
            let length = u32::try_from(record.len()).unwrap() | bits;
            self.put(at, &length.to_ne_bytes());
            self.put(at + HEADER, record);
            self.written += (HEADER + record.len()).next_multiple_of(HEADER);
            let position = u64::try_from(page_size()).unwrap();
            let number = self.written.to_ne_bytes();
            self.file.write_all_at(&number, position).unwrap();
            at
        }
    }

    fn read(ring: &mut Ring) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        let count = ring.drain(|record| records.push(record.to_vec()));
        assert_eq!(count, records.len());
        records
    }

    #[test]
    fn every_record_is_complete_and_in_order_at_any_position() {
        let (mut kernel, mut ring) = Kernel::new(page_size());
        let mut number = 0_u8;
        for length in (0..300).chain([3000, 1, 4000, 4000, 7, 4080]) {
            number = number.wrapping_add(1);
            let record = vec![number; length];
            kernel.write(&record, 0);
            assert_eq!(read(&mut ring), [record]);
            assert_eq!(kernel.room(), kernel.size, "its room was given back");
        }
        assert!(read(&mut ring).is_empty());
    }

    #[test]
    fn incomplete_records_are_waited_for_and_discarded_ones_skipped() {
        let (mut kernel, mut ring) = Kernel::new(page_size());
        kernel.write(b"first", 0);
        kernel.write(b"given up", DISCARD);
        let busy = kernel.write(b"slow", BUSY);
        kernel.write(b"last", 0);
        assert_eq!(read(&mut ring), [b"first"]);
        assert!(read(&mut ring).is_empty());
        kernel.put(busy, &4_u32.to_ne_bytes());
        assert_eq!(read(&mut ring), [b"slow", b"last"]);
    }

    #[test]
    fn the_window_moves_with_what_is_read_and_stays_small() {
        let (mut kernel, mut ring) = Kernel::new(4 * WINDOW);
        let record = vec![9; 60 << 10];
        for _ in 0..40 {
            kernel.write(&record, 0);
            kernel.write(b"small", 0);
            let read = read(&mut ring);
            assert_eq!(read.len(), 2);
            assert!(read[0] == record && read[1] == b"small");
            let (_, window) = ring.window.as_ref().unwrap();
            assert!(window.length <= WINDOW + page_size());
        }
        let large = vec![7; 2 * WINDOW];
        kernel.write(&large, 0);
        assert!(read(&mut ring) == [large]);
    }

    #[test]
    fn a_size_that_is_none_is_refused() {
        let file = || tempfile::tempfile().unwrap().into();
        for size in [0, 100, 3 * page_size()] {
            assert!(Ring::new(file(), size).is_err(), "{size}");
        }
    }
}
