//! The reference backend: host memory and no native operation, so that all run by their meaning.

use crate::{Backend, Buffer, DType, DeviceInfo, Result, View, ViewMut};
use std::sync::{PoisonError, RwLock};

/// The reference backend. Every operation runs by its f64 meaning and is rounded once to its
/// output's dtype; with `F64` tensors nothing is rounded at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reference;

#[derive(Debug)]
struct HostMemory(RwLock<Vec<u8>>);

impl Buffer for HostMemory {}

impl Backend for Reference {
    fn info(&self) -> DeviceInfo {
        DeviceInfo {
            backend: "reference".into(),
            name: "f64 reference".into(),
            ..DeviceInfo::default()
        }
    }

    fn alloc(&self, bytes: usize) -> Result<Box<dyn Buffer>> {
        Ok(Box::new(HostMemory(RwLock::new(vec![0; bytes]))))
    }

    fn upload(&self, src: &[u8], dst: ViewMut<'_>) -> Result<()> {
        let memory = dst.buffer::<HostMemory>()?;
        let mut bytes = memory.0.write().unwrap_or_else(PoisonError::into_inner);
        bytes[dst.offset()..][..src.len()].copy_from_slice(src);
        Ok(())
    }

    fn download(&self, src: View<'_>, dst: &mut [u8]) -> Result<()> {
        let memory = src.buffer::<HostMemory>()?;
        let bytes = memory.0.read().unwrap_or_else(PoisonError::into_inner);
        dst.copy_from_slice(&bytes[src.offset()..][..dst.len()]);
        Ok(())
    }
    /// False for every type, as every operation runs by its meaning.
    fn is_native(&self, _dtype: DType) -> bool {
        false
    }
}
