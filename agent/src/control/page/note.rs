//! What was just done, as the page that follows says it. It travels as a word in the address, and only known words are
//! shown: an address can't put text of its own into the page.

use crate::control::destinations::Replayed;

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
    /// One was, of a destination that is paused.
    ReplayWaits,
    /// One was, of less than was wished.
    ReplayCut,
    /// One was, and there is nothing to send.
    ReplayNothing,
    /// Dead letters are sent again.
    LettersResent,
    /// They are to be, and their destination is paused.
    LettersWait,
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
    const ALL: [Note; 16] = [
        Note::Paused,
        Note::Drains,
        Note::Resumed,
        Note::Unchanged,
        Note::ReplayBegun,
        Note::ReplayWaits,
        Note::ReplayCut,
        Note::ReplayNothing,
        Note::LettersResent,
        Note::LettersWait,
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
            Note::ReplayWaits => "replay-waits",
            Note::ReplayCut => "replay-cut",
            Note::ReplayNothing => "replay-nothing",
            Note::LettersResent => "letters-resent",
            Note::LettersWait => "letters-wait",
            Note::LettersDropped => "letters-dropped",
            Note::LetterEdited => "letter-edited",
            Note::NoneChosen => "none-chosen",
            Note::Created => "created",
            Note::Changed => "changed",
            Note::Deleted => "deleted",
        }
    }

    /// What came of a replay. Where it waits and is cut too, that it waits is what somebody has to do something about.
    pub(super) fn of_replay(replayed: &Replayed) -> Note {
        let Replayed { oldest_ms, replay, pause, .. } = replayed;
        let is_cut = replay.from_ms.zip(*oldest_ms).is_some_and(|(from_ms, oldest_ms)| from_ms < oldest_ms);
        match pause {
            _ if replay.has_nothing() => Note::ReplayNothing,
            Some(_) => Note::ReplayWaits,
            None if is_cut => Note::ReplayCut,
            None => Note::ReplayBegun,
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
            Note::ReplayWaits => {
                "The replay waits: the destination is paused, and nothing is sent until it is resumed. Resume lets both go on."
            }
            Note::ReplayCut => {
                "The replay has begun with the oldest event that the log still holds, which is younger than the moment you named. Events that are there already arrive again under the same numbers."
            }
            Note::ReplayNothing => {
                "Nothing is sent again: it has settled no event of that time yet. What waits is sent anyway."
            }
            Note::LettersWait => {
                "They wait: the destination is paused, and nothing is sent until it is resumed. Those that are accepted then leave this list."
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
    use crate::control::status::ReplayStatus;
    use crate::node::Pause;

    #[test]
    fn each_note_is_found_by_its_word_and_no_other_word_is_shown() {
        for note in Note::ALL {
            assert_eq!(Note::named(note.code()), Some(note));
        }
        assert_eq!(Note::named("<script>"), None);
    }

    #[test]
    fn a_replay_that_waits_is_cut_or_has_nothing_is_not_said_to_have_begun() {
        let pause = || Some(Pause { who: "uid 0".to_owned(), since_ms: 0, drain: None });
        let note = |from_ms, state: &str, pause: Option<Pause>| {
            let replay = ReplayStatus {
                from_ms,
                begun_ms: 9,
                state: state.to_owned(),
                cause: None,
                delivered: 0,
                dead_lettered: 0,
                overflowed: 0,
                in_hand: 0,
                unread: 0,
            };
            Note::of_replay(&Replayed { destination: "a".to_owned(), oldest_ms: Some(5_000), replay, pause })
        };
        assert_eq!(note(Some(5_000), "running", None), Note::ReplayBegun);
        assert_eq!(note(None, "running", None), Note::ReplayBegun, "all that there is was wished");
        assert_eq!(note(Some(4_999), "running", None), Note::ReplayCut);
        assert_eq!(note(Some(4_999), "running", pause()), Note::ReplayWaits);
        assert_eq!(note(Some(6_000), "over", None), Note::ReplayNothing);
    }
}
