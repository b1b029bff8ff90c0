//! Whether this process may use the processor's tiles.

#![expect(
    unsafe_code,
    reason = "an instruction and a system call without a wrapper"
)]

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;

/// Whether the processor has tiles for `bf16` and the system lets this process use them.
pub(crate) fn tiles_are_there() -> bool {
    // Intel's manual: leaf 7, EDX, AMX-BF16 and AMX-TILE.
    const BITS: u32 = 1 << 22 | 1 << 24;
    #[allow(unused_unsafe, reason = "safe in later compilers")]
    // SAFETY: every processor with AVX-512 has the instruction; asked for only there.
    let leaf = unsafe { __cpuid_count(7, 0) };
    leaf.edx & BITS == BITS && permission()
}

/// Linux keeps 8 KiB of tiles per thread only for processes that ask:
/// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`.
fn permission() -> bool {
    if !cfg!(target_os = "linux") {
        return false;
    }
    let mut answer: i64 = 158;
    // SAFETY: a system call that changes only what this process may use; clobbers as it has them.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") answer,
            in("rdi") 0x1023,
            in("rsi") 18,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer == 0
}
