import { render } from 'preact';
import { App } from './app.js';
import { openSession } from './model/live/session.js';
import './style/tokens.css';
import './style/frame.css';
import './style/parts.css';
import './style/picture.css';
import './style/overview.css';
import './style/screens.css';

const root = document.getElementById('app');
if (root !== null) render(<App session={openSession()} />, root);
