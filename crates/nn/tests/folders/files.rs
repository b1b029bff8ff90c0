//! Folders and files that hold something else than weights.

use super::*;

#[test]
fn folders_without_weights_say_what_they_hold() {
    let folder = Folder::new();
    let said = "FOLDER holds no weights: it has neither model.safetensors nor \
        model.safetensors.index.json";
    assert_eq!(folder.said(), said);
    folder.put("tf_model.h5", "x");
    assert!(
        folder
            .said()
            .contains("it holds tf_model.h5, which cannot be read")
    );
    folder.put("gpt2.safetensors", "x");
    assert!(
        folder
            .said()
            .contains("if gpt2.safetensors holds its weights, call that file")
    );
    folder.put("b.safetensors", "x");
    assert!(
        folder
            .said()
            .contains("but not the model.safetensors.index.json that lists")
    );
    folder.put("pytorch_model.bin", "x");
    let said = folder.said();
    assert!(
        said.contains("it holds pytorch_model.bin, PyTorch's pickled weights")
            && said.contains("python -c \"import glob, torch;")
            && !said.contains('\n'),
        "{said}"
    );
    // A link to nowhere is there, and cannot be read.
    #[cfg(unix)]
    {
        let folder = Folder::new();
        std::os::unix::fs::symlink("no", folder.path("model.safetensors")).unwrap();
        let said = folder.load().unwrap_err();
        assert!(matches!(said, Error::Io { .. }), "{said}");
    }
    fs::remove_file(folder.path("config.json")).unwrap();
    let said = folder.load().unwrap_err();
    assert!(matches!(said, Error::Io { .. }), "{said}");
}

#[test]
fn files_that_are_no_safetensors_say_what_they_are() {
    let whole = Folder::of(&weights());
    let bytes = fs::read(whole.path("model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let later = [&bytes[..], b"x"].concat();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    for (bytes, words) in [
        (&b""[..], "it is empty"),
        (b"\x01\x02", "too short for any header"),
        (lfs, "a pointer of Git LFS"),
        (b"PK\x03\x04 and more", "a file of PyTorch"),
        (b"\x80\x02 and more bytes", "a file of PyTorch"),
        (b"GGUF\x03\0\0\0 and more", "a GGUF file"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (
            b"any bytes that one may find",
            "does not begin with a header's length",
        ),
        (&bytes[..header - 5], "within its header of"),
        (&bytes[..bytes.len() - 4], "was it cut short?"),
        (&later, "bytes, but it has"),
        (b"\x02\0\0\0\0\0\0\0{]", "key must be a string"),
    ] {
        let folder = Folder::new();
        folder.put("model.safetensors", bytes);
        let said = folder.said();
        let begins = "model.safetensors is not a valid safetensors file: ";
        assert!(said.starts_with(begins) && said.contains(words), "{said}");
    }
    let with_header = |header: &str| {
        let folder = Folder::new();
        let length = (header.len() as u64).to_le_bytes();
        folder.put("model.safetensors", [&length, header.as_bytes()].concat());
        folder.said()
    };
    let said = with_header(r#"{"a":{"dtype":"Q4","shape":[0],"data_offsets":[0,0]}}"#);
    assert!(
        said.contains("a is not read: its type \"Q4\" is unknown"),
        "{said}"
    );
    let said = with_header(r#"{"__metadata__":{"format":"tf"}}"#);
    assert!(said.contains("laid out for \"tf\""), "{said}");
    let one = r#""a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}"#;
    assert!(with_header(&format!("{{{one},{one}}}")).contains("a occurs twice"));
    assert!(with_header("{}").ends_with("which this model needs: it holds no tensor"));
}
