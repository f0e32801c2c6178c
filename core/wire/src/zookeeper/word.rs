//! Four-letter words: the text commands of the client port.

/// Declares the words.
macro_rules! words {
    ($($variant:ident = $word:literal,)*) => {
        /// A text command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)]
        pub enum Word { $($variant,)* }

        impl Word {
            /// All of them.
            pub const ALL: &'static [Word] = &[$(Word::$variant,)*];

            /// As it is typed.
            pub fn name(self) -> &'static str {
                match self { $(Word::$variant => $word,)* }
            }
        }
    };
}

words! {
    Ruok = "ruok",
    Isro = "isro",
    Srvr = "srvr",
    Stat = "stat",
    Mntr = "mntr",
    Conf = "conf",
    Cons = "cons",
    Crst = "crst",
    Srst = "srst",
    Dump = "dump",
    Envi = "envi",
    Dirs = "dirs",
    Wchs = "wchs",
    Wchc = "wchc",
    Wchp = "wchp",
    Gtmk = "gtmk",
    Stmk = "stmk",
    Hash = "hash",
}

/// The word that a connection's first four bytes are, if they are one. Read as a length they would be a frame of more
/// than a gigabyte, so no handshake is mistaken for one. `stmk` is followed by eight more bytes.
pub fn four_letter_word(first: [u8; 4]) -> Option<Word> {
    Word::ALL.iter().copied().find(|word| word.name().as_bytes() == first)
}
