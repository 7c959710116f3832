/** What the gateway and the thread that works for other gateways say to each other, besides requests. */
import type { TargetSettings } from '../target.js';
import type { StoreCall } from './store-calls.js';

export interface StoreThreadSettings {
  readonly target: TargetSettings;
}

export type ToStoreThread = StoreCall | { readonly call: 'stop' };
