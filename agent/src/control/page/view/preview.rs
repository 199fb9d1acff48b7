//! What a filter would have sent of the events in the log.

use maud::{Markup, html};

use super::words::{count, many};
use crate::control::preview::{Preview, Share};

/// See the module.
pub(in crate::control::page) fn told(preview: &Preview) -> Markup {
    html! {
        p.lead role="status" { (preview.summary) }
        @if let Some(cut) = &preview.cut { p { (cut) } }
        (shares("By category", &preview.categories))
        (shares("By severity", &preview.severities))
        @if !preview.left_out_by.is_empty() {
            p { "Left out by: " @for (at, by) in preview.left_out_by.iter().enumerate() {
                @if at > 0 { ", " } (by.list) " " (many(by.events, "event", "events"))
            } "." }
        }
        details {
            summary { "Some of the newest that would be sent" }
            @if preview.sent.is_empty() { p { "There are none." } }
            @for example in &preview.sent { pre tabindex="0" { code { (example.event.get()) } } }
        }
        details {
            summary { "Some of the newest that would be left out" }
            @if preview.left_out.is_empty() { p { "There are none." } }
            @for example in &preview.left_out {
                @if let Some(list) = &example.left_out_by { p { "By " code { (list) } ":" } }
                pre tabindex="0" { code { (example.event.get()) } }
            }
        }
    }
}

fn shares(caption: &str, shares: &[Share]) -> Markup {
    html! {
        @if !shares.is_empty() { table {
            caption { (caption) }
            thead { tr { th scope="col" { "Which" } th.number scope="col" { "Would be sent" } th.number scope="col" { "Of" } } }
            tbody { @for share in shares { tr {
                th scope="row" { (share.name.as_deref().unwrap_or("others")) }
                td.number { (count(share.selected)) }
                td.number { (count(share.judged)) }
            } } }
        } }
    }
}
