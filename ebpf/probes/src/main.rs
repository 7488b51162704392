//! Kernel programs.
#![no_std]
#![no_main]
#![allow(unsafe_code)]
// Needed for what the target does not offer otherwise: an atomic addition, a mask that the compiler
// keeps.
#![feature(asm_experimental_arch)]

mod attribute;
mod call;
mod calls_seen;
mod capability;
mod cgroup;
mod datagram;
mod descriptor;
mod dns;
mod emit;
mod entry;
mod facts;
mod file;
mod gate;
mod interpreter;
mod io_uring;
mod kernel;
mod marks;
mod memory;
mod net;
mod path;
mod path_start;
mod privilege;
mod scratch;
mod secret;
mod share;
mod socket;
mod socket_facts;
mod syscall;
mod task;

/// The kernel allows most helpers only to GPL-compatible programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
