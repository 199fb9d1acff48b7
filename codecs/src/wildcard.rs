//! Names with `*`: the little pattern language of actions, categories and users.

/// A name in which `*` stands for any characters, none included.
#[derive(Clone, Debug)]
pub(crate) struct Wildcard {
    pattern: String,
}

impl Wildcard {
    pub(crate) fn new(pattern: &str) -> Wildcard {
        Wildcard { pattern: pattern.to_owned() }
    }

    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        matches(self.pattern.as_bytes(), name)
    }
}

/// Whether the text uses the pattern language at all.
pub(crate) fn is_wildcard(text: &str) -> bool {
    text.contains('*')
}

/// Takes each `*` as short as possible and lengthens only the last one met; earlier ones never need to grow.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p).is_some_and(|byte| *byte == name[n]) {
            p += 1;
            n += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            p = star_at + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', rest @ ..] => (0..=name.len()).any(|skip| naive(rest, &name[skip..])),
            [first, rest @ ..] => name.first() == Some(first) && naive(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_trying_everything(pattern in "[ab*é]{0,8}", name in "[abé]{0,10}") {
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(Wildcard::new(&pattern).matches(name.as_bytes()), naive(&p, &n));
        }
    }
}
