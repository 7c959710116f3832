/**
 * A string as SCRAM hashes it: the mapping and normalisation steps of SASLprep [RFC 4013, sections 2.1 and 2.2], so that a password
 * typed on one machine equals the one typed on another. What SASLprep prohibits is not looked for: such a password only has to match itself.
 */
export function saslPrep(text: string): string {
  const spaces = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu; // RFC 3454, table C.1.2
  const nothing = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|[\u200c\u200d]|\u2060|[\ufe00-\ufe0f]|\ufeff/gu; // table B.1
  return text.replace(spaces, ' ').replace(nothing, '').normalize('NFKC');
}
