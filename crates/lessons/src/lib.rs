//! The road from a dictionary to a GPT, step by step.
