//! Parameter names from a model's structure: a scope is the place in the model that is being built.

use crate::params::{Init, Param, ParamInfo};
use latimer_tensor::Shape;

/// The declarations that a model makes while it is built; no device is needed yet.
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    pub(crate) params: Vec<ParamInfo>,
    sites: u32,
}

impl Declarations {
    /// Makes declarations without parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The outermost scope.
    pub fn root(&mut self) -> Scope<'_> {
        Scope {
            declarations: self,
            path: String::new(),
        }
    }

    /// The parameters so far, in order of declaration.
    #[must_use]
    pub fn params(&self) -> &[ParamInfo] {
        &self.params
    }

    /// Elements of all logical shapes: the model's number of parameters.
    #[must_use]
    pub fn num_parameters(&self) -> usize {
        self.params.iter().map(|p| p.shape().numel()).sum()
    }
}

/// A place in the model, such as `transformer.h.0.attn`.
#[derive(Debug)]
pub struct Scope<'a> {
    declarations: &'a mut Declarations,
    path: String,
}

impl Scope<'_> {
    /// The place called `name` within this one.
    pub fn child(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        let path = self.name(name);
        Scope {
            declarations: self.declarations,
            path,
        }
    }

    fn name(&self, name: impl std::fmt::Display) -> String {
        if self.path.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Declares a parameter in this place.
    pub fn param(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> Param {
        let shape = shape.into();
        self.padded_param(name, shape, shape.dims()[0], init)
    }

    /// Declares a parameter stored with extra rows of zeros (axis 0 grows to `stored_rows`), as a
    /// padded vocabulary needs. Files and counts never see them.
    pub fn padded_param(
        &mut self,
        name: &str,
        shape: impl Into<Shape>,
        stored_rows: usize,
        init: Init,
    ) -> Param {
        let name = self.name(name);
        let index = self.declarations.params.len();
        self.declarations
            .params
            .push(ParamInfo::new(name, shape.into(), stored_rows, init));
        Param(index)
    }

    /// A new number for one use of randomness in the model, such as a dropout.
    pub fn site(&mut self) -> u32 {
        self.declarations.sites += 1;
        self.declarations.sites
    }
}
