//! The tutorial's head against PyTorch: weights of attention, output and every gradient.

use latimer_autograd::{AdamW, Declarations, Optimizer, Param, Params, Slab};
use latimer_backend_cpu::Cpu;
use latimer_lessons::Head;
use latimer_tensor::{Device, Tensor};
use safetensors::SafeTensors;

/// The numbers of columns, queries and keys in the file.
const SIZES: (usize, usize, usize) = (32, 5, 7);

struct Golden(Vec<u8>);

impl Golden {
    fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/head.safetensors");
        Self(std::fs::read(path).expect("the golden file is committed"))
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        let file = SafeTensors::deserialize(&self.0).expect("the golden file is whole");
        file.tensor(name).expect(name).data().to_vec()
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        let bytes = self.bytes(name);
        let (numbers, _) = bytes.as_chunks::<4>();
        numbers.iter().map(|&b| f32::from_le_bytes(b)).collect()
    }

    fn f64(&self, name: &str) -> Vec<f64> {
        let bytes = self.bytes(&format!("f64/{name}"));
        let (numbers, _) = bytes.as_chunks::<8>();
        numbers.iter().map(|&b| f64::from_le_bytes(b)).collect()
    }

    /// Checks that the error against f64 is at most twice that of PyTorch's f32 run, plus one
    /// rounding of the greatest number.
    fn check(&self, name: &str, got: &[f32]) {
        let (truth, theirs) = (self.f64(name), self.f32(name));
        assert_eq!(got.len(), truth.len(), "{name}");
        let greatest = truth.iter().fold(0.0f64, |a, x| a.max(x.abs()));
        let worst = |of: &[f32]| {
            let errors = of
                .iter()
                .zip(&truth)
                .map(|(&x, t)| (f64::from(x) - t).abs());
            errors.fold(0.0f64, f64::max)
        };
        let (ours, allowed) = (
            worst(got),
            2.0 * worst(&theirs) + f64::from(f32::EPSILON) * greatest,
        );
        assert!(
            ours <= allowed,
            "{name}: off by {ours:e}, allowed {allowed:e}"
        );
        assert!(greatest > 1e-3, "{name} is too small to tell anything");
    }
}

#[test]
fn a_head_is_pytorchs() -> Result<(), Box<dyn std::error::Error>> {
    let golden = Golden::read();
    let (n_embd, queries, keys) = SIZES;
    for device in [Device::reference(), Device::new(Cpu::new(1)?)] {
        let mut declarations = Declarations::new();
        let mut root = declarations.root();
        let head = Head::new(root.child("head"), n_embd);
        // Inputs as parameters, so that their gradients can be read.
        let mut input = |name: &str, rows: usize| {
            root.param(name, [rows, n_embd], latimer_autograd::Init::Zeros)
        };
        let inputs = [
            input("query", queries),
            input("key", keys),
            input("value", keys),
        ];
        let mut params = Params::new(&device, declarations, 0)?;
        params.enable_training()?;
        let maps = [head.query, head.key, head.value];
        let names = ["query", "key", "value"];
        for i in 0..3 {
            let weight = golden.f32(&format!("weights/{}.weight", names[i]));
            params.set(Slab::Values, maps[i], &weight)?;
        }
        for i in 0..3 {
            let x = golden.f32(&format!("inputs/{}", names[i]));
            params.set(Slab::Values, inputs[i], &x)?;
        }
        let optimizer = Optimizer::new(&mut params, AdamW::default())?;
        let pass = optimizer.pass(&params);
        // x = I·x makes a parameter an input whose gradient the store keeps.
        let of = |param: Param, rows: usize| -> latimer_autograd::Result<Tensor> {
            let mut identity = vec![0.0f32; rows * rows];
            identity.iter_mut().step_by(rows + 1).for_each(|x| *x = 1.0);
            let identity = Tensor::from_slice(&device, &identity, [rows, rows])?;
            pass.linear(&pass.constant(identity), param, None)
        };
        let (q, k, v) = (
            of(inputs[0], queries)?,
            of(inputs[1], keys)?,
            of(inputs[2], keys)?,
        );
        let found = head.forward(&pass, &q, &k, &v, head.scale())?;
        golden.check("weights_of_attention", &found.weights.to_vec::<f32>()?);
        golden.check("output", &found.output.to_vec::<f32>()?);
        let upstream = Tensor::from_slice(&device, &golden.f32("upstream"), [queries, n_embd])?;
        let product = pass.mul(&found.output, &pass.constant(upstream))?;
        let loss = pass.sum(&product.reshape([queries * n_embd])?)?;
        pass.backward(loss)?;
        for i in 0..3 {
            let name = format!("gradients/{}", names[i]);
            golden.check(&name, &params.get(Slab::Gradients, inputs[i])?);
            let name = format!("gradients/{}.weight", names[i]);
            golden.check(&name, &params.get(Slab::Gradients, maps[i])?);
        }
    }
    Ok(())
}
