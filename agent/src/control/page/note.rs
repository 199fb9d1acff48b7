//! What was just done, as the page that follows says it. It travels as a word in the address, and only known words are
//! shown: an address can't put text of its own into the page.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// A destination was paused.
    Paused,
    /// A destination drains.
    Drains,
    /// A pause was ended.
    Resumed,
    /// It was so already.
    Unchanged,
    /// A replay was begun.
    ReplayBegun,
    /// Dead letters are sent again.
    LettersResent,
    /// Dead letters are gone.
    LettersDropped,
    /// A dead letter was edited.
    LetterEdited,
    /// No letter was chosen.
    NoneChosen,
    /// A destination was made.
    Created,
    /// A destination was changed.
    Changed,
    /// A destination was deleted.
    Deleted,
}

impl Note {
    const ALL: [Note; 12] = [
        Note::Paused,
        Note::Drains,
        Note::Resumed,
        Note::Unchanged,
        Note::ReplayBegun,
        Note::LettersResent,
        Note::LettersDropped,
        Note::LetterEdited,
        Note::NoneChosen,
        Note::Created,
        Note::Changed,
        Note::Deleted,
    ];

    /// The word for it in an address.
    pub(super) fn code(self) -> &'static str {
        match self {
            Note::Paused => "paused",
            Note::Drains => "drains",
            Note::Resumed => "resumed",
            Note::Unchanged => "unchanged",
            Note::ReplayBegun => "replay-begun",
            Note::LettersResent => "letters-resent",
            Note::LettersDropped => "letters-dropped",
            Note::LetterEdited => "letter-edited",
            Note::NoneChosen => "none-chosen",
            Note::Created => "created",
            Note::Changed => "changed",
            Note::Deleted => "deleted",
        }
    }

    /// The one with this word, if any.
    pub(super) fn named(code: &str) -> Option<Note> {
        Note::ALL.into_iter().find(|note| note.code() == code)
    }

    /// What people read.
    pub(super) fn words(self) -> &'static str {
        match self {
            Note::Paused => {
                "Paused: nothing is sent until it is resumed. Events wait in the log for as long as its window is."
            }
            Note::Drains => {
                "It drains: what was in the log is sent, then it stands until it is resumed. Later events wait in the log."
            }
            Note::Resumed => "Resumed: what has waited is sent.",
            Note::Unchanged => "It was so already; nothing was changed.",
            Note::ReplayBegun => {
                "The replay has begun. Events that are there already arrive again under the same numbers."
            }
            Note::LettersResent => {
                "They are sent again. Those that are accepted leave this list: reload it in a moment."
            }
            Note::LettersDropped => "They are gone for good. The audit trail has their numbers.",
            Note::LetterEdited => "The edited event is kept. Replay sends it.",
            Note::Created => "It is made and in force: events go there from now on.",
            Note::Changed => "The change is in force. Other destinations were not touched.",
            Note::Deleted => "It is deleted: nothing is sent there any more.",
            Note::NoneChosen => "No dead letter was chosen; tick some first.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_note_is_found_by_its_word_and_no_other_word_is_shown() {
        for note in Note::ALL {
            assert_eq!(Note::named(note.code()), Some(note));
        }
        assert_eq!(Note::named("<script>"), None);
    }
}
