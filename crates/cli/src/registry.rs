//! Backends by name: those of this program, and those that other programs add.

use latimer::OpenDevice;
use latimer_tensor::Device;
use latimer_trainer::config::nearest;
use std::error::Error;
use std::fmt;

/// Why a backend did not open.
pub type BackendError = Box<dyn Error + Send + Sync>;

/// The name that stands for the best backend available.
pub(crate) const AUTO: &str = "auto";
/// The backends that [`AUTO`] tries, in this order.
const PREFERRED: [&str; 2] = ["cuda", "cpu"];

/// The command line's options for a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Worker threads; 0 for one per core.
    pub threads: usize,
}

impl Options {
    /// Options for this many threads; 0 for one per core.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self { threads }
    }
}

type Open = Box<dyn Fn(&Options) -> Result<Device, BackendError> + Send + Sync>;

/// Backends by name.
pub struct Registry {
    entries: Vec<(String, Open)>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Why a device could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No backend has this name.
    #[error("unknown backend `{name}`{} (backends: {known})",
        nearest.as_ref().map_or(String::new(), |n| format!(": did you mean `{n}`?")))]
    Unknown {
        /// The name.
        name: String,
        /// The backend that was most likely meant.
        nearest: Option<String>,
        /// All names, joined by commas.
        known: String,
    },
    /// The backend is compiled in but cannot be opened.
    #[error("backend {name} cannot be used")]
    Unavailable {
        /// The name.
        name: String,
        /// The reason.
        #[source]
        source: BackendError,
    },
}

impl Registry {
    /// The backends of this program: `cpu`, and `cuda` unless that feature is off.
    #[must_use]
    pub fn builtin() -> Self {
        let registry = Self {
            entries: Vec::new(),
        }
        .with("cpu", |options| Ok(Device::cpu(options.threads)?));
        #[cfg(feature = "cuda")]
        let registry = registry.with("cuda", |_| Ok(Device::cuda(0)?));
        registry
    }

    /// Adds a backend; it replaces one of the same name.
    #[must_use]
    pub fn with(
        mut self,
        name: &str,
        open: impl Fn(&Options) -> Result<Device, BackendError> + Send + Sync + 'static,
    ) -> Self {
        self.entries.retain(|(known, _)| known != name);
        self.entries.push((name.to_owned(), Box::new(open)));
        self
    }

    /// All names, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| &**name)
    }

    /// Opens the device of a backend. `auto` opens `cuda` if possible, else `cpu`.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn open(&self, name: &str, options: &Options) -> Result<Device, RegistryError> {
        if name == AUTO {
            return self.open_auto(options);
        }
        let Some((_, open)) = self.entries.iter().find(|(known, _)| known == name) else {
            let known: Vec<&str> = self.names().chain([AUTO]).collect();
            return Err(RegistryError::Unknown {
                name: name.to_owned(),
                nearest: nearest(name, known.iter().copied()).map(str::to_owned),
                known: known.join(", "),
            });
        };
        open(options).map_err(|source| RegistryError::Unavailable {
            name: name.to_owned(),
            source,
        })
    }

    /// Opens the first preferred backend that works; if none does, returns the error of the last
    /// one.
    fn open_auto(&self, options: &Options) -> Result<Device, RegistryError> {
        let mut last = None;
        for name in PREFERRED {
            match self.open(name, options) {
                Err(error) => last = Some(error),
                opened => return opened,
            }
        }
        match last {
            Some(error) => Err(error),
            None => unreachable!("the list of preferred backends is not empty"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_the_best_that_opens() {
        let options = Options::new(1);
        let device = Registry::builtin().open(AUTO, &options).unwrap();
        assert_eq!(device.info().backend, "cpu");
        let with_cuda = Registry::builtin().with("cuda", |_| Ok(Device::reference()));
        let device = with_cuda.open(AUTO, &options).unwrap();
        assert_ne!(device.info().backend, "cpu");
    }

    #[test]
    fn what_does_not_open_says_why_and_what_is_misspelt_is_guessed() {
        let registry = Registry::builtin().with("mine", |_| Err("out to lunch".into()));
        let error = registry.open("mine", &Options::default()).unwrap_err();
        assert_eq!(
            error.source().map(ToString::to_string),
            Some("out to lunch".into())
        );
        let error = registry.open("cpuu", &Options::default()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("unknown backend `cpuu`: did you mean `cpu`? (backends: cpu"),
            "{error}"
        );
    }
}
