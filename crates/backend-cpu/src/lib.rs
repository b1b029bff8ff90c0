//! Latimer's CPU backend: every operation natively in `f32` and `bf16`, on all cores, same bits for
//! any number of threads.
//!
//! The idea: an operation is split over rows (or tiles of an output), never over the terms of a
//! sum, and a sum over rows goes through chunks whose number depends on the shapes only. `bf16` is
//! widened as it is loaded and rounded once as it is stored; other floats are left to the device's
//! fallback.
//!
//! ```
//! use latimer_backend_cpu::Cpu;
//! use latimer_tensor::{Device, Tensor};
//! let device = Device::new(Cpu::new(2)?);
//! let x = Tensor::from_slice(&device, &[1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
//! assert_eq!(x.matmul(&x)?.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
//! # Ok::<(), latimer_tensor::Error>(())
//! ```
//!
//! | file | what is in it |
//! |---|---|
//! | `memory` | aligned buffers; where views become slices |
//! | `parallel`, `team`, `scratch` | splitting work over rows, the threads, their scratch memory |
//! | `simd`, `amx`, `math` | what the processor has, one body for three instruction sets; `exp`, `tanh`, sums |
//! | `real` | `f32` and `bf16` as they are loaded and stored |
//! | `gemm` | products: own AVX-512 and AVX2 tiles, `matrixmultiply` elsewhere; `bf16` by AMX or AVX512_BF16 |
//! | `attention` | tiled attention, its backward, decoding over a cache |
//! | `optimized` | whether it is compiled with optimisation; a debug build of yours needs [four lines](is_optimized) |
//! | `peak` | what the machine can do at most, measured |
//! | the others | one family of operations each |

mod adamw;
#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod cross_entropy;
mod dropout;
mod elementwise;
mod embedding;
mod gemm;
mod layer_norm;
mod machine;
mod math;
mod memory;
mod movement;
mod optimized;
mod parallel;
pub mod peak;
mod real;
mod reduce;
mod rms_norm;
mod scratch;
mod simd;
mod softmax;
mod team;

pub use optimized::is_optimized;

use half::bf16;
use latimer_tensor::op::Operand;
use latimer_tensor::{
    Backend, Buffer, DType, DeviceInfo, Error, Handled, Op, Result, View, ViewMut,
};
use machine::Machine;
use memory::{Budget, Memory};
use parallel::Par;
use real::Real;
use std::sync::Arc;
use team::Team;

/// The processor as a device.
#[derive(Debug)]
pub struct Cpu {
    /// `None` for one thread: then the calling thread does the work.
    team: Option<Team>,
    threads: usize,
    machine: Machine,
    budget: Arc<Budget>,
}

/// A request for more threads than this is an error: it is taken for a mistake.
const MAX_THREADS: usize = 1024;

/// Eager operations shorter than this stay on the calling thread: the others may have to wake up
/// first, which takes some 50 µs.
const ENTER_NS: u64 = 100_000;

impl Cpu {
    /// A device that works on `threads` threads; 0 for one per core.
    ///
    /// # Errors
    /// [`Error::InvalidAttribute`] for more than 1024, [`Error::Device`] when the system refuses
    /// to start them, or when `LATIMER_SIMD` names no instruction set (see the README).
    pub fn new(threads: usize) -> Result<Self> {
        if threads > MAX_THREADS {
            return Err(Error::InvalidAttribute {
                op: "cpu",
                attribute: "threads",
                got: threads as f64,
                reason: "it must be at most 1024, or 0 for one per core",
            });
        }
        let machine = Machine::detect();
        simd::most_asked().map_err(|message| Error::Device {
            device: machine.name.clone(),
            message,
        })?;
        let threads = match threads {
            0 => std::thread::available_parallelism()
                .map_or(1, std::num::NonZero::get)
                .min(MAX_THREADS),
            n => n,
        };
        optimized::warn_once();
        let team = if threads == 1 {
            None
        } else {
            Some(Team::new(threads).map_err(|error| Error::Device {
                device: machine.name.clone(),
                message: format!("cannot start {threads} threads: {error}"),
            })?)
        };
        let budget = Budget::new(machine.memory_bytes);
        Ok(Self {
            team,
            threads,
            machine,
            budget,
        })
    }
}

impl Backend for Cpu {
    fn info(&self) -> DeviceInfo {
        // `DeviceInfo` is non-exhaustive, so it cannot be written as a literal here.
        let mut info = DeviceInfo::default();
        info.backend = "cpu".into();
        info.name.clone_from(&self.machine.name);
        info.memory_bytes = self.machine.memory_bytes;
        info.threads = Some(self.threads);
        info.detail = match is_optimized() {
            true => simd::description().into(),
            false => format!("{}, {}", simd::description(), optimized::WARNING),
        };
        info
    }

    fn is_native(&self, dtype: DType) -> bool {
        matches!(dtype, DType::F32 | DType::Bf16)
    }

    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(Memory::new(
            bytes,
            &self.budget,
            &self.machine.name,
        )?))
    }

    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        let dst = memory::write_bytes(dst)?;
        copy(src, dst)
    }

    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        copy(memory::read_bytes(src)?, dst)
    }

    fn run(&self, op: &mut Op<'_>) -> Result<Handled> {
        let Some(team) = &self.team else {
            return run(op, Par::SERIAL);
        };
        if team.is_here() {
            run(op, Par::new(self.threads))
        } else if nanoseconds(op) < ENTER_NS {
            run(op, Par::SERIAL)
        } else {
            team.enter(|| run(op, Par::new(self.threads)))
        }
    }

    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        match &self.team {
            Some(team) => team.enter(work),
            None => work(),
        }
    }
}

/// A rough guess of an operation's time on one core: 50 GFLOP/s and 10 GB/s.
fn nanoseconds(op: &mut Op<'_>) -> u64 {
    let cost = op.cost();
    cost.flops / 50 + cost.bytes / 10
}

fn copy(src: &[u8], dst: &mut [u8]) -> Result<()> {
    if src.len() != dst.len() {
        return Err(Error::WrongLength {
            shape: [dst.len()].into(),
            got: src.len(),
        });
    }
    dst.copy_from_slice(src);
    Ok(())
}

/// Runs an operation by the function that implements it.
fn run(op: &mut Op<'_>, par: Par) -> Result<Handled> {
    match op {
        Op::Fill(op) => return movement::fill(op, par),
        Op::Cast(op) => return movement::cast(op, par),
        Op::Permute(op) => return movement::permute(op, par),
        Op::Slice(op) => return movement::slice(op, par),
        Op::Concat(op) => return movement::concat(op, par),
        _ => {}
    }
    match floats(op) {
        Some(DType::F32) => match op {
            Op::Reduce(op) => reduce::reduce::<f32, f32>(op, par),
            Op::Matmul(op) => gemm::matmul(op, par),
            Op::SumSquares(op) => reduce::sum_squares(op, par),
            Op::ClipScale(op) => adamw::clip_scale(op),
            Op::AdamW(op) => adamw::run(op, par),
            Op::Attention(op) => attention::forward(op, par),
            Op::AttentionBackward(op) => attention::backward(op, par),
            Op::AttentionDecode(op) => attention::decode(op, par),
            _ => run_on::<f32>(op, par),
        },
        Some(DType::Bf16) => match op {
            Op::Reduce(op) if op.y.dtype() == DType::F32 => reduce::reduce::<bf16, f32>(op, par),
            Op::Reduce(op) => reduce::reduce::<bf16, bf16>(op, par),
            Op::Matmul(op) => gemm::narrow_matmul(op, par),
            Op::AdamW(op) => adamw::run(op, par),
            Op::Attention(op) => attention::narrow::forward(op, par),
            Op::AttentionBackward(op) => attention::narrow::backward(op, par),
            Op::AttentionDecode(op) => attention::narrow::decode(op, par),
            _ => run_on::<bf16>(op, par),
        },
        _ => Ok(Handled::Unsupported),
    }
}

/// Runs the operations whose code is generic over the type of their floats.
fn run_on<E: Real>(op: &mut Op<'_>, par: Par) -> Result<Handled> {
    match op {
        Op::Unary(op) => elementwise::unary::<E>(op, par),
        Op::UnaryBackward(op) => elementwise::unary_backward::<E>(op, par),
        Op::Binary(op) => elementwise::binary::<E>(op, par),
        Op::Axpby(op) => elementwise::axpby::<E>(op, par),
        Op::ArgMax(op) => reduce::arg_max::<E>(op, par),
        Op::Embedding(op) => embedding::forward::<E>(op, par),
        Op::EmbeddingBackward(op) => embedding::backward::<E>(op, par),
        Op::LayerNorm(op) => layer_norm::forward::<E>(op, par),
        Op::AddLayerNorm(op) => layer_norm::add_forward::<E>(op, par),
        Op::LayerNormBackward(op) => layer_norm::backward::<E>(op, par),
        Op::RmsNorm(op) => rms_norm::forward::<E>(op, par),
        Op::RmsNormBackward(op) => rms_norm::backward::<E>(op, par),
        Op::Softmax(op) => softmax::forward::<E>(op, par),
        Op::SoftmaxBackward(op) => softmax::backward::<E>(op, par),
        Op::CrossEntropy(op) => cross_entropy::run::<E>(op, par),
        Op::Dropout(op) => dropout::run::<E>(op, par),
        _ => Ok(Handled::Unsupported),
    }
}

/// The narrowest type among an operation's float operands: `F32`, or `Bf16` if any is `Bf16` and
/// the others are `F32`. `U32` operands are passed over; any other type gives `None`.
fn floats(op: &mut Op<'_>) -> Option<DType> {
    let mut narrowest = Some(DType::F32);
    op.operands(&mut |_, operand| {
        let dtype = match operand {
            Operand::In(view) => view.dtype(),
            Operand::Out(view) | Operand::InOut(view) => view.dtype(),
        };
        narrowest = match dtype {
            DType::F32 | DType::U32 => narrowest,
            DType::Bf16 => narrowest.and(Some(DType::Bf16)),
            _ => None,
        };
    });
    narrowest
}
