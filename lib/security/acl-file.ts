import { SprawlError } from '../contracts/errors.js';
import { AclAccess, filterFault, type AclGrant } from './acl-rule.js';
import { readTextFile, significantLines } from './text-file.js';

/** An ACL file in mosquitto's format, sorted by whom its lines are about. */
export interface AclFile {
  /** `topic` lines before the first `user` line: for clients without a user name, and only for those. */
  readonly anonymous: readonly AclGrant[];
  readonly users: ReadonlyMap<string, readonly AclGrant[]>;
  /** `pattern` lines. */
  readonly everyone: readonly AclGrant[];
}

/** @throws SprawlError ACL_FILE_INVALID naming file, line and what is wrong. */
export async function readAclFile(path: string): Promise<AclFile> {
  const { text } = await readTextFile(path, 'ACL_FILE_INVALID');
  return parseAclFile(text, path);
}

/** @throws SprawlError ACL_FILE_INVALID naming `file`, line and what is wrong. */
export function parseAclFile(text: string, file: string): AclFile {
  const anonymous: AclGrant[] = [];
  const everyone: AclGrant[] = [];
  const users = new Map<string, AclGrant[]>();
  let section = anonymous;
  for (const line of significantLines(text)) {
    const invalid = (what: string) =>
      new SprawlError('ACL_FILE_INVALID', `${file}:${line.number}: ${what}`, {
        details: { file, line: line.number },
      });
    const [keyword, rest] = splitWord(line.text);
    switch (keyword) {
      case 'user': {
        if (rest === '') throw invalid('user needs a name: user <name>');
        section = users.get(rest) ?? [];
        users.set(rest, section);
        break;
      }
      case 'topic':
        section.push(parseGrant(rest, false, invalid));
        break;
      case 'pattern':
        everyone.push(parseGrant(rest, true, invalid));
        break;
      default:
        throw invalid(`${JSON.stringify(keyword)} is unknown: a line begins with user, topic, pattern or #`);
    }
  }
  return { anonymous, users, everyone };
}

/** The first word and what follows it, without the white space between. */
function splitWord(text: string): readonly [word: string, rest: string] {
  const end = text.search(/[ \t]/);
  return end === -1 ? [text, ''] : [text.slice(0, end), text.slice(end).trimStart()];
}

function parseGrant(text: string, pattern: boolean, invalid: (what: string) => SprawlError): AclGrant {
  const [word, rest] = splitWord(text);
  if (word === '') throw invalid('a topic is missing: topic [read|write|readwrite|deny] <topic>');
  // A single word is the topic, whatever it says: `topic read` is about the topic "read", as in mosquitto.
  const access = rest === '' ? AclAccess.readwrite : parseAccess(word);
  if (access === undefined) {
    throw invalid(
      `${JSON.stringify(word)} is not an access: read, write, readwrite or deny; a topic that holds a space needs one before it`,
    );
  }
  const filter = rest === '' ? word : rest;
  const fault = filterFault(filter);
  if (fault !== undefined) throw invalid(`${JSON.stringify(filter)} ${fault}`);
  return { access, filter, template: pattern && /%[cu]/.test(filter) };
}

function parseAccess(word: string): AclAccess | undefined {
  switch (word) {
    case 'read':
    case 'write':
    case 'readwrite':
    case 'deny':
      return word;
    default:
      return undefined;
  }
}
