//! Words in columns.

/// Rows under their headings, each column as wide as its widest word; numbers lie to the right.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let heading: Vec<String> = headings.iter().map(|&word| word.into()).collect();
    let all: Vec<_> = std::iter::once(&heading).chain(rows).collect();
    let column = |c: usize| all.iter().filter_map(move |row| row.get(c));
    let is_number = |word: &String| word.starts_with(|first: char| first.is_ascii_digit());
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (c, word) in row.iter().enumerate() {
            let width = column(c).map(|word| word.chars().count()).max();
            let width = width.unwrap_or(0);
            // A column of numbers is one of which the rows below the heading begin with digits.
            let right = column(c).skip(1).all(|word| is_number(word) || word == "-");
            if right {
                line += &format!("{word:>width$}  ");
            } else {
                line += &format!("{word:<width$}  ");
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lie_left_and_numbers_right() {
        let rows = [["softmax", "7"], ["a", "128"], ["b", "-"]];
        let rows = rows.map(|row| row.map(String::from).to_vec());
        let expected = "\
kernel   registers
softmax          7
a              128
b                -
";
        assert_eq!(table(&["kernel", "registers"], &rows), expected);
    }
}
