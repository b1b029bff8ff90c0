#![allow(unsafe_code, reason = "calls the fake driver")]
//! The fake driver refuses what a GPU's driver refuses or cannot handle: otherwise a program could
//! work here and fail on a GPU. The tests call it as one calls the driver, without the backend.

use latimer_cuda_shim::{DRIVER, GPU_REQUIRED};
use std::ffi::{CString, c_int, c_uint, c_void};
use std::process::Command;
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};
use std::thread;

const SUCCESS: c_int = 0;
const INVALID_VALUE: c_int = 1;
const LAUNCH_OUT_OF_RESOURCES: c_int = 701;
const CAPTURE_UNSUPPORTED: c_int = 900;
const CAPTURE_INVALIDATED: c_int = 901;

/// A kernel of many registers, 152 to 154 by the report.
const KERNEL: &str = "attention_backward_kv_f32_d128";
/// Shared memory that a block may ask for, by the shim's compute capability 8.0.
const SHARED: c_int = 163 << 10;

type Pointer = *mut c_void;
type Take = unsafe extern "C" fn(Pointer) -> c_int;
type Make = unsafe extern "C" fn(*mut Pointer, c_uint) -> c_int;

/// Every test holds this lock, because the fake driver's captures are process-wide.
static ALONE: Mutex<()> = Mutex::new(());

/// The fake driver.
struct Driver(libloading::Library);

impl Driver {
    /// `None` on a GPU.
    fn open() -> Option<Self> {
        latimer_cuda_shim::use_as_driver();
        if std::env::var_os(GPU_REQUIRED).is_some() {
            eprintln!("skipped: it asks the shim");
            return None;
        }
        let path = std::env::var_os(DRIVER).expect("the shim is named by it");
        // SAFETY: the shim's constructors only fill its tables.
        Some(Self(
            unsafe { libloading::Library::new(path) }.expect("it loads"),
        ))
    }

    /// A function of the driver, whose type the caller knows.
    fn get<F: Copy>(&self, name: &str) -> F {
        // SAFETY: the callers below name each with its type.
        let found = unsafe { self.0.get::<F>(name.as_bytes()) };
        *found.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Calls a function that takes one pointer.
    fn take(&self, name: &str, pointer: Pointer) -> c_int {
        // SAFETY: the pointers are the driver's own, alive unless a test is about that.
        unsafe { self.get::<Take>(name)(pointer) }
    }

    /// Calls a function that makes an object and takes flags; returns the object.
    fn make(&self, name: &str) -> Pointer {
        let mut made = null_mut();
        // SAFETY: the pointer is to a live pointer.
        let result = unsafe { self.get::<Make>(name)(&raw mut made, 0) };
        assert_eq!(result, SUCCESS, "{name}");
        made
    }

    fn alloc(&self) -> (c_int, Pointer) {
        type Alloc = unsafe extern "C" fn(*mut Pointer, usize) -> c_int;
        let mut at = null_mut();
        // SAFETY: as above.
        let result = unsafe { self.get::<Alloc>("cuMemAlloc_v2")(&raw mut at, 64) };
        (result, at)
    }

    fn load(&self, ptx: &str) -> (c_int, Pointer) {
        type Load = unsafe extern "C" fn(*mut Pointer, *const c_void) -> c_int;
        let (text, mut module) = (CString::new(ptx).expect("it holds no 0"), null_mut());
        // SAFETY: both pointers are alive during the call.
        let result =
            unsafe { self.get::<Load>("cuModuleLoadData")(&raw mut module, text.as_ptr().cast()) };
        (result, module)
    }

    /// The kernel, from a module that declares `limits` for its blocks.
    fn kernel(&self, limits: &str) -> Pointer {
        type Find = unsafe extern "C" fn(*mut Pointer, Pointer, *const i8) -> c_int;
        let (result, module) = self.load(&ptx(limits));
        assert_eq!(result, SUCCESS);
        let (name, mut function) = (CString::new(KERNEL).expect("it holds no 0"), null_mut());
        let find = self.get::<Find>("cuModuleGetFunction");
        // SAFETY: all are alive during the call.
        let result = unsafe { find(&raw mut function, module, name.as_ptr().cast()) };
        assert_eq!(result, SUCCESS);
        function
    }

    /// Launches one block, its arguments all 0 but for the first.
    fn launch(
        &self,
        function: Pointer,
        threads: c_uint,
        shared: c_int,
        stream: Pointer,
        first: Pointer,
    ) -> c_int {
        type Launch = unsafe extern "C" fn(
            Pointer,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            c_uint,
            Pointer,
            *mut Pointer,
            *mut Pointer,
        ) -> c_int;
        let (mut first, mut zeros) = (first, [0u64; 64]);
        let mut arguments = [zeros.as_mut_ptr().cast::<c_void>(); 64];
        arguments[0] = (&raw mut first).cast();
        let shared = shared as c_uint;
        // SAFETY: the kernel has fewer and smaller arguments, which are copied during the call.
        unsafe {
            self.get::<Launch>("cuLaunchKernel")(
                function,
                1,
                1,
                1,
                threads,
                1,
                1,
                shared,
                stream,
                arguments.as_mut_ptr(),
                null_mut(),
            )
        }
    }

    fn set(&self, at: Pointer, stream: Pointer) -> c_int {
        type Set = unsafe extern "C" fn(Pointer, u8, usize, Pointer) -> c_int;
        // SAFETY: the memory has 64 bytes.
        unsafe { self.get::<Set>("cuMemsetD8Async")(at, 7, 64, stream) }
    }

    /// Begins a capture on this thread.
    fn begin(&self, stream: Pointer) {
        type Begin = unsafe extern "C" fn(Pointer, c_int) -> c_int;
        // SAFETY: the stream is alive.
        let result = unsafe { self.get::<Begin>("cuStreamBeginCapture_v2")(stream, 1) };
        assert_eq!(result, SUCCESS);
    }

    fn end(&self, stream: Pointer) -> (c_int, Pointer) {
        type End = unsafe extern "C" fn(Pointer, *mut Pointer) -> c_int;
        let mut graph = null_mut();
        // SAFETY: the stream is alive, and the pointer is to a live pointer.
        let result = unsafe { self.get::<End>("cuStreamEndCapture")(stream, &raw mut graph) };
        (result, graph)
    }

    fn instantiate(&self, graph: Pointer) -> (c_int, Pointer) {
        type Instantiate = unsafe extern "C" fn(*mut Pointer, Pointer, u64) -> c_int;
        let mut exec = null_mut();
        let instantiate = self.get::<Instantiate>("cuGraphInstantiateWithFlags");
        // SAFETY: the graph is alive, and the pointer is to a live pointer.
        let result = unsafe { instantiate(&raw mut exec, graph, 0) };
        (result, exec)
    }
}

/// A module with the kernel, as far as the fake driver reads it.
fn ptx(limits: &str) -> String {
    format!(".version 8.4\n.target sm_75\n.visible .entry {KERNEL}(\n)\n{limits}\n{{\n}}\n")
}

#[test]
fn launches_that_do_not_fit_a_multiprocessor() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(driver) = Driver::open() else {
        return;
    };
    type SetAttribute = unsafe extern "C" fn(Pointer, c_int, c_int) -> c_int;
    // 8 is the dynamic shared memory that a block may have.
    let ask = |function, bytes| {
        // SAFETY: the function is alive.
        unsafe { driver.get::<SetAttribute>("cuFuncSetAttribute")(function, 8, bytes) }
    };
    let (free, bounded) = (driver.kernel(""), driver.kernel(".maxntid 128, 1, 1"));
    let stream = driver.make("cuStreamCreate");
    // During a capture nothing runs.
    driver.begin(stream);
    let launch =
        |function, threads, shared| driver.launch(function, threads, shared, stream, null_mut());

    // 65,536 registers: 152 to 160 a thread are too many for 432 threads, and not for 400.
    assert_eq!(launch(free, 400, 0), SUCCESS);
    assert_eq!(launch(free, 432, 0), LAUNCH_OUT_OF_RESOURCES);
    assert_eq!(launch(bounded, 128, 0), SUCCESS);
    assert_eq!(launch(bounded, 129, 0), INVALID_VALUE);

    // 48 KiB of shared memory unless more is requested, and never more than the device has.
    assert_eq!(launch(bounded, 128, 48 << 10), SUCCESS);
    assert_eq!(launch(bounded, 128, (48 << 10) + 4), INVALID_VALUE);
    assert_eq!(ask(bounded, SHARED + 1), INVALID_VALUE);
    assert_eq!(
        launch(bounded, 128, SHARED),
        INVALID_VALUE,
        "it was refused"
    );
    assert_eq!(ask(bounded, SHARED), SUCCESS);
    assert_eq!(launch(bounded, 128, SHARED), SUCCESS);

    let (result, graph) = driver.end(stream);
    assert_eq!(result, SUCCESS, "what was refused is not in the graph");
    assert_eq!(driver.take("cuGraphDestroy", graph), SUCCESS);
    assert_eq!(driver.take("cuStreamDestroy_v2", stream), SUCCESS);
}

#[test]
fn what_a_capture_forbids() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(driver) = Driver::open() else {
        return;
    };
    let [stream, other] = [(); 2].map(|()| driver.make("cuStreamCreate"));
    let event = driver.make("cuEventCreate");
    let (_, memory) = driver.alloc();
    let (_, module) = driver.load(&ptx(""));
    assert_eq!(driver.set(memory, stream), SUCCESS);
    driver.begin(other);
    let (_, graph) = driver.end(other);
    let synchronize = || {
        // SAFETY: it takes nothing.
        unsafe { driver.get::<unsafe extern "C" fn() -> c_int>("cuCtxSynchronize")() }
    };

    let calls: [(&str, &dyn Fn() -> c_int); 10] = [
        ("cuMemAlloc", &|| driver.alloc().0),
        ("cuMemFree", &|| driver.take("cuMemFree_v2", memory)),
        ("cuMemFreeHost", &|| {
            driver.take("cuMemFreeHost", null_mut())
        }),
        ("cuEventSynchronize", &|| {
            driver.take("cuEventSynchronize", event)
        }),
        ("cuEventQuery", &|| driver.take("cuEventQuery", event)),
        ("cuStreamSynchronize", &|| {
            driver.take("cuStreamSynchronize", stream)
        }),
        ("of another stream", &|| {
            driver.take("cuStreamSynchronize", other)
        }),
        ("cuCtxSynchronize", &synchronize),
        ("cuModuleLoadData", &|| driver.load(&ptx("")).0),
        ("cuModuleUnload", &|| driver.take("cuModuleUnload", module)),
    ];
    let instantiate = || driver.instantiate(graph).0;
    let more: [(&str, &dyn Fn() -> c_int); 1] = [("cuGraphInstantiate", &instantiate)];
    for (name, call) in calls.into_iter().chain(more) {
        driver.begin(stream);
        assert_eq!(driver.set(memory, stream), SUCCESS, "{name}");
        assert_eq!(call(), CAPTURE_UNSUPPORTED, "{name}");
        // The recording has ended, and there is no graph.
        assert_eq!(driver.set(memory, stream), CAPTURE_INVALIDATED, "{name}");
        assert_eq!(
            driver.end(stream),
            (CAPTURE_INVALIDATED, null_mut()),
            "{name}"
        );
        assert_eq!(driver.set(memory, stream), SUCCESS, "{name}: it is over");
    }

    // Another thread may allocate during it; a call that waits for the whole device breaks it.
    let address = memory as usize;
    for (frees, expected) in [(false, SUCCESS), (true, CAPTURE_INVALIDATED)] {
        driver.begin(stream);
        thread::scope(|scope| {
            let of_other = scope.spawn(|| {
                let (result, more) = driver.alloc();
                let freed = match frees {
                    true => driver.take("cuMemFree_v2", address as Pointer),
                    false => SUCCESS,
                };
                (result, freed, more as usize)
            });
            let (result, freed, more) = of_other.join().expect("it ends");
            assert_eq!((result, freed), (SUCCESS, SUCCESS));
            assert_ne!(more, 0);
        });
        let (result, graph) = driver.end(stream);
        assert_eq!(result, expected, "frees: {frees}");
        assert_eq!(graph.is_null(), frees);
    }
}

#[test]
fn memory_that_a_live_graph_names_is_not_freed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(driver) = Driver::open() else {
        return;
    };
    // Once the graphs are destroyed, the memory may be freed.
    let (memory, graph, exec) = graph_of_memory(&driver);
    assert_eq!(driver.take("cuGraphDestroy", graph), SUCCESS);
    assert_eq!(driver.take("cuGraphExecDestroy", exec), SUCCESS);
    assert_eq!(driver.take("cuMemFree_v2", memory), SUCCESS);

    for (what, expected) in [
        ("live", "cuMemFree: memory is freed that a live graph names"),
        ("twice", "cuMemFree: memory is freed that is not allocated"),
        ("dead", "an argument points to no live memory"),
    ] {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["--exact", "child", "--nocapture", "--include-ignored"]);
        let output = command.env(CHILD, what).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{what}");
        assert!(said.contains(expected), "{what}: {said}");
    }
}

/// This variable tells [`child`] what to do.
const CHILD: &str = "SHIM_REFUSES_CHILD";

/// Makes memory, a graph that names it, and the executable graph.
fn graph_of_memory(driver: &Driver) -> (Pointer, Pointer, Pointer) {
    let (_, memory) = driver.alloc();
    let stream = driver.make("cuStreamCreate");
    driver.begin(stream);
    assert_eq!(driver.set(memory, stream), SUCCESS);
    let (result, graph) = driver.end(stream);
    assert_eq!(result, SUCCESS);
    let (result, exec) = driver.instantiate(graph);
    assert_eq!(result, SUCCESS);
    (memory, graph, exec)
}

#[test]
#[ignore = "what stops the process"]
fn child() {
    let Ok(what) = std::env::var(CHILD) else {
        return;
    };
    let Some(driver) = Driver::open() else {
        return;
    };
    let (memory, graph, exec) = graph_of_memory(&driver);
    driver.take("cuGraphDestroy", graph);
    if what == "live" {
        // The executable graph still names the memory.
        driver.take("cuMemFree_v2", memory);
        return;
    }
    driver.take("cuGraphExecDestroy", exec);
    driver.take("cuMemFree_v2", memory);
    match what.as_str() {
        "twice" => driver.take("cuMemFree_v2", memory),
        _ => driver.launch(driver.kernel(""), 32, 0, null_mut(), memory),
    };
}
