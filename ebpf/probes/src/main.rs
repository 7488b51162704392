//! Kernel programs.
#![no_std]
#![no_main]

pub mod call;
pub mod capability;
pub mod dns;
pub mod file;
pub mod net;
pub mod privilege;

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
