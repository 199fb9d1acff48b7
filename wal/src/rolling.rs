//! How a log goes on from one segment to the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::format::{FOOTER_LEN, Footer, HEADER_LEN, Header, salted, segment_name};
use crate::log::{Active, Log, Segment};
use crate::number::{Seq, WallTime};
use crate::report::AppendError;
use crate::scan::Tally;
use crate::shared::{Mapped, Populate, Seal, SegmentState, SyncFile};

impl Log {
    /// Closes the active segment and goes on in the spare.
    pub(crate) fn roll(&mut self, base: Seq, durable_end: Seq, wall: WallTime) -> Result<(), AppendError> {
        let mut keep = self.shared.lock_keep();
        let Some(spare) = keep.spare.take() else {
            let refused = keep.spare_error.clone().filter(|_| !keep.may_try_spare);
            self.shared.keeper_signal.raise();
            return Err(match refused {
                Some(why) => AppendError::NoSpare { why },
                None => AppendError::WaitForKeeper,
            });
        };
        keep.may_try_spare = true;
        drop(keep);
        self.close_active(false);
        let options = &self.shared.options;
        let header = Header {
            shard: options.shard,
            base,
            durable_end,
            created: wall,
            salt: self.salts.next(),
            segment_size: spare.region.len() as u32,
            readers_may_pass: options.is_weak(),
        };
        let salted = salted(header.salt);
        let len = spare.region.len();
        let mut writer = spare.region.into_writer(0);
        writer.store(0, &header.encode());
        writer.publish(HEADER_LEN);
        let state = Arc::<SegmentState>::default();
        let mapped = Arc::new(Mapped { region: writer.region().clone() });
        let name = segment_name(base);
        self.shared.lock_sync().files.push_back(SyncFile {
            region: writer.region().clone(),
            synced: 0,
            base,
            end: None,
            name: name.clone(),
            spare_name: Some(spare.name),
            state: state.clone(),
        });
        let populate = Arc::new(Populate {
            region: writer.region().clone(),
            done: (spare.populated as u32).into(),
            wanted: 0.into(),
            forgotten: 0.into(),
        });
        self.shared.lock_keep().populate = Some(populate.clone());
        self.shared.keeper_signal.raise();
        self.segments.push_back(Segment {
            base,
            end: base,
            name,
            len: len as u64,
            salted,
            footer: Arc::default(),
            holes: Vec::new(),
            is_open: true,
            is_readable: true,
            is_suspect: false,
            state,
            last_mapped: Arc::downgrade(&mapped),
            mapped: Some(mapped),
            last_read: 0,
            written_from: Some(self.appended),
        });
        self.active =
            Some(Active { writer, at: HEADER_LEN, limit: len - FOOTER_LEN, salted, tally: Tally::new(len), populate });
        Ok(())
    }

    /// Closes the active segment; the keeper seals it when its records are durable.
    pub(crate) fn close_active(&mut self, cut: bool) {
        let Some(active) = self.active.take() else { return };
        let base = self.segments.back().map_or(self.next, |segment| segment.base);
        let after_last = Seq::from_raw(active.tally.footer().end).max(base);
        let mut footer = active.tally.into_footer(self.next);
        if after_last < self.next {
            // Given up after a failed sync, and announced then.
            footer.add_hole(after_last.get(), self.next.get());
        }
        let footer = Arc::new(footer);
        let mut queue = self.shared.lock_sync();
        if let Some(file) = queue.files.back_mut() {
            file.end = Some(self.next);
            // All of it may be durable already, and then no sync will come to take it out.
            if self.next <= self.shared.durable_end() && !queue.is_in_flight {
                queue.files.pop_back();
            }
        }
        drop(queue);
        let Some(segment) = self.segments.back_mut() else { return };
        segment.is_open = false;
        segment.end = self.next;
        segment.holes = crate::recovery::holes(&footer);
        segment.footer = footer.clone();
        let mut keep = self.shared.lock_keep();
        keep.populate = None;
        keep.seals.push_back(Seal {
            writer: active.writer,
            footer,
            salted: active.salted,
            cut,
            state: segment.state.clone(),
        });
        drop(keep);
        self.shared.keeper_signal.raise();
        self.request_sync();
    }

    /// A durable footer can be read again; its index need not stay in memory.
    pub(crate) fn drop_known_footers(&mut self) {
        for segment in &mut self.segments {
            if !segment.footer.index.is_empty() && segment.state.is_sealed.load(Ordering::Acquire) {
                let slim = Footer { index: Vec::new(), holes: Vec::new(), ..(*segment.footer).clone() };
                segment.footer = Arc::new(slim);
            }
        }
    }
}
