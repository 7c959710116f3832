import { isIP } from 'node:net';
import { z } from 'zod';

/**
 * What a key tells its reader beside its type. It becomes part of the JSON Schema, from which the reference page, the
 * error lines and the names of environment variables are made.
 */
export interface FieldNote {
  readonly description: string;
  /** What a higher number costs or buys. */
  readonly higher?: string;
  /** What a lower number costs or buys. */
  readonly lower?: string;
  /** The default in words, where it depends on the machine or on other keys. */
  readonly defaultText?: string;
  /** The legal values in words, where the type does not say them. */
  readonly limitText?: string;
  /** Shown as `***` wherever values are shown. */
  readonly secret?: boolean;
}

/** The keyword of `JSON Schema` under which a field's note travels beside the standard ones. */
export interface FieldMeta {
  readonly [key: string]: unknown;
  readonly description: string;
  readonly defaultText?: string;
  readonly limitText?: string;
  readonly writeOnly?: boolean;
}

export function note(field: FieldNote): FieldMeta {
  const sentences = [field.description];
  if (field.higher !== undefined) sentences.push(`Higher: ${field.higher}`);
  if (field.lower !== undefined) sentences.push(`Lower: ${field.lower}`);
  return {
    description: sentences.join(' '),
    ...(field.defaultText === undefined ? {} : { defaultText: field.defaultText }),
    ...(field.limitText === undefined ? {} : { limitText: field.limitText }),
    ...(field.secret === true ? { writeOnly: true } : {}),
  };
}

export interface WholeNumberNote extends FieldNote {
  readonly min: number;
  readonly max: number;
  readonly higher: string;
  readonly lower: string;
}

const wholeNumber = (field: WholeNumberNote): z.ZodInt => z.int().min(field.min).max(field.max);

/** A whole number; its unit is the end of its key (`…Ms`, `…S`, `…Bytes`, `…Count`). */
export function integer(field: WholeNumberNote & { readonly default: number }): z.ZodDefault<z.ZodInt> {
  return wholeNumber(field).default(field.default).meta(note(field));
}

/** A whole number whose default is worked out from the machine or from other keys. */
export function derivedInteger(
  field: WholeNumberNote & { readonly defaultText: string },
): z.ZodOptional<z.ZodInt> {
  return wholeNumber(field).optional().meta(note(field));
}

export function flag(value: boolean, field: FieldNote): z.ZodDefault<z.ZodBoolean> {
  return z.boolean().default(value).meta(note(field));
}

export function path(field: FieldNote): z.ZodOptional<z.ZodString> {
  return z.string().min(1).optional().meta(note(field));
}

const HOST_NAME =
  /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/;

const host = z.string().refine((text) => isIP(text) !== 0 || HOST_NAME.test(text));
const HOST_LIMIT = 'an IP address or a host name; the port has a key of its own';

/** Where a listener listens; loopback unless told otherwise. */
export function listenHost(description: string): z.ZodDefault<z.ZodString> {
  return host.default('127.0.0.1').meta(note({ description, limitText: HOST_LIMIT }));
}

/** Where a listener listens whose default is the address of another. */
export function derivedListenHost(description: string, defaultText: string): z.ZodOptional<z.ZodString> {
  return host.optional().meta(note({ description, defaultText, limitText: HOST_LIMIT }));
}

/** A TCP port, 0 for any free one, or false for no listener. */
export const portOrOff = z.union([z.literal(false), z.int().min(0).max(65535)]);
