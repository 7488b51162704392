//! A finished system call in native terms, independent of the ABI of the caller.
//!
//! The number alone does not identify the call: programs for the machine's 32-bit predecessor, and
//! `int 0x80` from a 64-bit one, use other numbers, and pass arguments in other registers, 32 bits
//! each. All other modules see only the native number.

use aya_ebpf::{
    helpers::{
        bpf_get_current_task_btf, bpf_probe_read_kernel, bpf_probe_read_user, bpf_task_pt_regs,
    },
    macros::map,
    maps::PerCpuArray,
    programs::BtfTracePointContext,
};
use hullwatch_abi::{compat, file::Shape, offsets as o};

use crate::{
    emit,
    kernel::{at, file_of, has, load},
};

/// Numbers that the tables describe.
pub const NUMBERS: usize = 512;

/// Where in `struct pt_regs` the number of a call and its six arguments are, in bytes; set by the
/// loader, because it differs between machines.
#[unsafe(no_mangle)]
static REGS: [u32; 7] = [0; 7];

/// The same for the arguments of a 32-bit call.
#[unsafe(no_mangle)]
static COMPAT_REGS: [u32; 6] = [0; 6];

/// Entry of [`compat::I386`] or [`compat::ARM`] by 32-bit number, 0 for a call that is not
/// watched; set by the loader.
#[unsafe(no_mangle)]
static COMPAT_CALLS: [u16; NUMBERS] = [0; NUMBERS];

/// The bit that marks a task in a 32-bit call, in the word at [`o::TASK_ABI`]; set by the loader.
#[unsafe(no_mangle)]
static COMPAT_BIT: u32 = 0;

/// 1 on x86_64, where numbers may carry [`compat::X32_BIT`]; set by the loader.
#[unsafe(no_mangle)]
static HAS_X32: u32 = 0;

/// Number of arguments.
const ARGUMENTS: u8 = 6;

/// A finished system call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Call {
    /// Arguments as passed.
    pub args: [u64; ARGUMENTS as usize],
    /// Result; -1 to -4095 is a refusal.
    pub ret: i64,
    /// The file of a request of io_uring: its operand, or the file it opened; 0 for none.
    pub file: u64,
    /// Native system call number.
    pub nr: u32,
    /// The packed meaning of its arguments, for calls on files; see [`Call::shape`].
    pub shape: u32,
    /// A request of io_uring, which has no descriptor and whose names are in kernel memory.
    pub ring: bool,
}

/// The finished call of this CPU. It is in memory whose content the verifier does not track:
/// variants of a call, such as those of a 32-bit program, are the same to it, and it checks what
/// follows once instead of once for each of them.
#[map]
static CALL: PerCpuArray<Call> = PerCpuArray::with_max_entries(1, 0);

/// Stores a finished call. Tracing programs run with preemption off and do not nest.
#[inline(always)]
pub fn store(call: Call) -> Option<&'static mut Call> {
    let slot = CALL.get_ptr_mut(0)?;
    // SAFETY: the slot is this CPU's and this program's alone.
    let slot = unsafe { &mut *slot };
    *slot = call;
    joined();
    Some(slot)
}

/// Marks where alternative paths of a program join: the compiler reads again from memory what it
/// wrote there before. The verifier treats values it reads as unknown ones, hence does not check
/// the rest once for each path.
#[inline(always)]
pub fn joined() {
    // SAFETY: no instruction.
    unsafe { core::arch::asm!("", options(nostack)) };
}

impl Call {
    /// The meaning of the arguments, as the caller stored it. Read again each time, see [`joined`].
    #[inline(always)]
    pub fn shape(&self) -> Shape {
        // SAFETY: a field of this value.
        Shape::unpack(unsafe { core::ptr::read_volatile(&raw const self.shape) })
    }

    /// The open file behind a descriptor of the call.
    #[inline(always)]
    pub fn opened(&self, fd: i32) -> Option<u64> {
        if self.ring {
            (self.file != 0).then_some(self.file)
        } else {
            file_of(fd)
        }
    }

    /// An argument by its index; for an index out of range, such as `NONE`, there is none.
    #[inline(always)]
    pub fn argument(&self, index: u8) -> Option<u64> {
        if index >= ARGUMENTS {
            return None;
        }
        // The mask keeps an index within the fields of this value, which the verifier checks.
        let index = emit::masked::<7>(usize::from(index));
        // SAFETY: the index is that of an argument.
        Some(unsafe { core::ptr::read_volatile(self.args.as_ptr().add(index)) })
    }
}

/// The eight bytes at this offset of the registers. A direct load through the typed pointer: a
/// helper call here would slow down every system call on the host.
#[inline(always)]
fn register(ctx: &BtfTracePointContext, offset: u32) -> u64 {
    let regs = ctx.arg::<*const u8>(0);
    // SAFETY: the kernel hands over a valid `struct pt_regs`; the verifier checks the bounds.
    unsafe { core::ptr::read_volatile(regs.add(offset as usize).cast::<u64>()) }
}

/// The number as the task passed it.
#[inline(always)]
pub fn number(ctx: &BtfTracePointContext) -> u32 {
    register(ctx, load!(REGS[0])) as u32
}

/// An argument of a 64-bit call.
#[inline(always)]
fn wide(ctx: &BtfTracePointContext, argument: usize) -> u64 {
    register(ctx, load!(REGS[argument + 1]))
}

/// An argument of a 32-bit call.
#[inline(always)]
fn narrow(ctx: &BtfTracePointContext, argument: usize) -> u64 {
    register(ctx, load!(COMPAT_REGS[argument])) & 0xffff_ffff
}

/// An argument of the call that ends.
#[inline(always)]
pub fn argument(ctx: &BtfTracePointContext, argument: usize, compat: bool) -> u64 {
    if compat {
        narrow(ctx, argument)
    } else {
        wide(ctx, argument)
    }
}

/// The table's entry for a 32-bit number.
#[inline(always)]
fn entry(number: u32) -> u16 {
    if number < NUMBERS as u32 {
        load!(COMPAT_CALLS[(number & 511) as usize])
    } else {
        0
    }
}

/// True while the current task is in a call of the 32-bit ABI.
#[inline(always)]
pub fn in_compat() -> bool {
    if !has(o::TASK_ABI) {
        return false;
    }
    // SAFETY: the helper returns the current task, of whose type the verifier knows the size.
    let word = unsafe {
        let task = bpf_get_current_task_btf() as *const u8;
        core::ptr::read_volatile(task.add(at(o::TASK_ABI) as usize).cast::<u32>())
    };
    word & load!(COMPAT_BIT) != 0
}

/// Native number of a 64-bit call; `u32::MAX` if it is not in the tables.
#[inline(always)]
pub fn native(number: u32) -> u32 {
    if number < NUMBERS as u32 {
        return number;
    }
    let number = number & !compat::X32_BIT;
    if load!(HAS_X32) == 0 {
        return u32::MAX;
    }
    if number < NUMBERS as u32 {
        return number;
    }
    let own = (number as usize).wrapping_sub(compat::X32_FIRST);
    if own < compat::X32_OWN.len() && compat::X32_OWN[own] != 0 {
        u32::from(compat::X32_OWN[own])
    } else {
        u32::MAX
    }
}

/// Native number of the 32-bit call that ends; `u32::MAX` if it is not watched.
#[inline(always)]
pub fn translated(ctx: &BtfTracePointContext, number: u32) -> u32 {
    resolve(entry(number), || narrow(ctx, 0))
}

/// The native number of an entry; `first` is the call's first argument.
#[inline(always)]
fn resolve(entry: u16, first: impl FnOnce() -> u64) -> u32 {
    let number = if entry & compat::SOCKETCALL != 0 {
        compat::SOCKET_CALLS[(first() & 31) as usize]
    } else {
        entry & compat::NUMBER
    };
    if number == 0 {
        u32::MAX
    } else {
        u32::from(number)
    }
}

/// A 16-bit id: all ones mean "unchanged" there, too.
#[inline(always)]
fn id(value: u64) -> u64 {
    let value = value & 0xffff;
    if value == 0xffff { 0xffff_ffff } else { value }
}

/// Number, arguments and result of the call that ends; `None` when its arguments cannot be read.
#[inline(always)]
pub fn finished(ctx: &BtfTracePointContext) -> Option<&'static mut Call> {
    let number = number(ctx);
    let ret = ctx.arg(1);
    if !in_compat() {
        return store(Call {
            nr: native(number),
            args: [
                wide(ctx, 0),
                wide(ctx, 1),
                wide(ctx, 2),
                wide(ctx, 3),
                wide(ctx, 4),
                wide(ctx, 5),
            ],
            ret,
            shape: 0,
            ring: false,
            file: 0,
        });
    }
    let entry = entry(number);
    let mut args = [
        narrow(ctx, 0),
        narrow(ctx, 1),
        narrow(ctx, 2),
        narrow(ctx, 3),
        narrow(ctx, 4),
        narrow(ctx, 5),
    ];
    let nr = resolve(entry, || args[0]);
    if entry & (compat::SOCKETCALL | compat::IN_MEMORY) != 0 {
        let from = if entry & compat::SOCKETCALL != 0 {
            args[1]
        } else {
            args[0]
        };
        // SAFETY: the helper checks the address.
        let words = unsafe { bpf_probe_read_user(from as *const [u32; 6]) };
        let words = match words {
            Ok(words) => words,
            Err(_) => {
                // A short list of arguments may end at the end of mapped memory.
                // SAFETY: as above.
                let [a, b, c] = unsafe { bpf_probe_read_user(from as *const [u32; 3]) }.ok()?;
                [a, b, c, 0, 0, 0]
            }
        };
        args = words.map(u64::from);
    }
    if entry & compat::SHORT_IDS != 0 {
        args = [id(args[0]), id(args[1]), id(args[2]), 0, 0, 0];
    }
    if entry & compat::ONE_ARGUMENT != 0 {
        args = [args[0], 0, 0, 0, 0, 0];
    }
    store(Call {
        nr,
        args,
        ret,
        shape: 0,
        ring: false,
        file: 0,
    })
}

/// Native number of the call that the current task is in; `u32::MAX` outside of calls, 0 in a
/// 32-bit call that is not in the table.
#[inline(always)]
pub fn under_way() -> u32 {
    // SAFETY: the helpers check what they are given.
    let registers = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf().cast()) } as u64;
    let read = |offset: u32| {
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_kernel((registers + u64::from(offset)) as *const u64) }
    };
    let Ok(number) = read(load!(REGS[0])) else {
        return u32::MAX;
    };
    if in_compat() {
        let first = || read(load!(COMPAT_REGS[0])).unwrap_or(0);
        match resolve(entry(number as u32), first) {
            u32::MAX if (number as u32) < NUMBERS as u32 => 0,
            listed => listed,
        }
    } else {
        native(number as u32)
    }
}
