import { SprawlError } from '../../contracts/errors.js';
import { readAclFile } from '../../security/acl-file.js';
import { readPasswordFile } from '../../security/password-file.js';
import type { PlannedSetting } from './fitting.js';
import type { Finding } from './summary.js';

async function faultOf(read: Promise<unknown>): Promise<string | undefined> {
  try {
    await read;
    return undefined;
  } catch (error) {
    if (error instanceof SprawlError) return error.message;
    throw error;
  }
}

function pathOf(settings: ReadonlyMap<string, PlannedSetting>, key: string): string | undefined {
  const value = settings.get(key)?.value;
  return typeof value === 'string' ? value : undefined;
}

/** Whether a line of an ACL denies by a pattern: there mosquitto lets an allowing `topic` line win, and here the denial does. */
async function deniesByPattern(path: string): Promise<boolean> {
  const { everyone } = await readAclFile(path);
  return everyone.some(({ access }) => access === 'deny');
}

/** Reads the password and ACL files as a start would. They are used as they are, so that a fault in one has to be mended there. */
export async function checkSecurityFiles(settings: ReadonlyMap<string, PlannedSetting>): Promise<Finding[]> {
  const findings: Finding[] = [];
  const add = (fault: string): void => {
    findings.push(`${fault}; the gateway would not start with it`);
  };
  const passwordFile = pathOf(settings, 'security.passwordFile');
  const passwordFault =
    passwordFile === undefined ? undefined : await faultOf(readPasswordFile(passwordFile));
  if (passwordFault !== undefined) add(passwordFault);
  const aclFile = pathOf(settings, 'security.aclFile');
  if (aclFile === undefined) return findings;
  const aclFault = await faultOf(readAclFile(aclFile));
  if (aclFault !== undefined) add(aclFault);
  else if (await deniesByPattern(aclFile))
    findings.push(
      `${aclFile}: a "pattern deny" line wins over every other line here; in mosquitto a "topic" line that allows wins over it`,
    );
  return findings;
}
