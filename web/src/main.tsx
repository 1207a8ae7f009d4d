/** Starts the City page. */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './frame/App.tsx';
import './styles/tokens.css';
import './styles/base.css';
import './styles/overlays.css';
import './styles/frame.css';
import './styles/nav.css';
import './styles/signin.css';
import './styles/city.css';
import './styles/feed.css';
import './styles/room.css';
import './styles/messages.css';
import './styles/composer.css';
import './styles/second-me.css';
import './styles/desk.css';

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
