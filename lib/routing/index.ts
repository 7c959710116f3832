export { Route, Router, RouteState, sameTopic, type RouterOptions } from './router.js';
export {
  Listener,
  RouteTarget,
  SharedGroup,
  type Subscriber,
  Subscription,
  type SubscriptionOptions,
} from './subscription.js';
export { TopicTree } from './topic-tree.js';
