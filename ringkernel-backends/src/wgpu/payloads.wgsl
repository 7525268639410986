// Payloads that no slot carries: they lie in a buffer, one behind the other, from which handlers read them. A slot has three words
// instead, the first word of the payload and how many there are, as the host has found them; of one that it did not find there are too many.

@group(0) @binding(5) var<storage, read> rk_rt_payloads: array<u32>;

// Where the payload being read begins there; all ones for one that lies in its slot.
var<private> rk_rt_place: u32;

fn rk_in(word: u32) -> u32 {
    if (rk_rt_place != 0xffffffffu) {
        return rk_rt_payloads[rk_rt_place + word];
    }
    return rk_rt_word(rk_rt_mail, rk_rt_slot, 6u + word);
}

// How many words the payload has whose slot says so many. Three are those of no archive: where nothing is found, its handler will say so.
// Nothing is followed that another kernel sent.
fn rk_rt_length(tag: u32, words: u32) -> u32 {
    rk_rt_place = 0xffffffffu;
    if (rk_rt_mail || words != 3u || !rk_rt_is_large(tag)) {
        return words;
    }
    let place = rk_rt_word(false, rk_rt_slot, 6u);
    let length = rk_rt_word(false, rk_rt_slot, 7u);
    let all = arrayLength(&rk_rt_payloads);
    if (length > all || place > all - length) {
        return words;
    }
    rk_rt_place = place;
    return length;
}

