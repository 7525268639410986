// Every payload lies in its slot.

fn rk_in(word: u32) -> u32 {
    return rk_rt_word(rk_rt_mail, rk_rt_slot, 6u + word);
}

fn rk_rt_length(tag: u32, words: u32) -> u32 {
    return words;
}

